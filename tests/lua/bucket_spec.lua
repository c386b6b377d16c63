-- The token bucket of a shard's stream.
local support = dofile "tests/lua/support.lua";
local bucket = support.lib "bucket";

describe("a token bucket", function ()
	it("lets a burst through without a pause", function ()
		local one = bucket.new(20, 0);
		for _ = 1, 20 do assert.is_nil(bucket.take(one, 10, 20, 0)); end
	end);
	it("asks for a pause that pays the debt exactly", function ()
		local one = bucket.new(20, 0);
		for _ = 1, 20 do bucket.take(one, 10, 20, 0); end
		assert.equal(0.1, bucket.take(one, 10, 20, 0));
		assert.equal(0.2, bucket.take(one, 10, 20, 0));
		assert.is_nil(bucket.take(one, 10, 20, 0.31));
	end);
	it("saves no more than one burst", function ()
		local one = bucket.new(5, 0);
		for _ = 1, 5 do assert.is_nil(bucket.take(one, 10, 5, 1000)); end
		assert.is_number(bucket.take(one, 10, 5, 1000));
	end);
	it("keeps any pattern of traffic at burst + rate x time, when the pauses are kept", function ()
		math.randomseed(5);
		for _ = 1, 50 do
			local rate, burst = math.random(1, 50), math.random(1, 50);
			local one, now, taken = bucket.new(burst, 0), 0, 0;
			for _ = 1, 500 do
				now = now + (bucket.take(one, rate, burst, now) or 0) + (math.random() < 0.2 and math.random() or 0);
				taken = taken + 1;
				assert.is_true(taken <= burst + rate * now + 1.001);
			end
		end
	end);
end);
