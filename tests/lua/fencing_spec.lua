-- Who may speak for an owner.
local support = dofile "tests/lua/support.lua";
local fencing = support.lib "fencing";

local HELD = { epoch = 7, instance = "a" };
local RELEASED = { epoch = 7, instance = "a", released = 100 };
local FENCED = "fenced: a newer epoch has connected";

-- record, somebody connected, epoch, instance -> verdict or text of the conflict
local CASES = {
	{ nil, false, 1, "", "accept", "nobody was ever seen" },
	{ HELD, false, 8, "b", "accept", "a higher epoch, nobody connected" },
	{ HELD, true, 8, "b", "replace", "a higher epoch, somebody connected" },
	{ HELD, true, 8, "a", "replace", "a higher epoch of the same instance" },
	{ HELD, false, 7, "b", "accept", "the same epoch, nobody connected" },
	{ HELD, true, 7, "a", "replace", "the same epoch and instance, a half-dead connection" },
	{ HELD, true, 7, "b", nil, "another instance holds this epoch" },
	{ { epoch = 7, instance = "" }, true, 7, "", nil, "another instance holds this epoch" },
	{ HELD, true, 7, "", nil, "another instance holds this epoch" },
	{ HELD, false, 6, "a", nil, FENCED },
	{ HELD, true, 6, "a", nil, FENCED },
	{ RELEASED, false, 6, "a", nil, FENCED },
	{ RELEASED, false, 7, "a", nil, "fenced: this epoch was released" },
	{ RELEASED, false, 8, "b", "accept", "a higher epoch after the release" },
};

describe("the fence", function ()
	for i, case in ipairs(CASES) do
		it(("decides case %d: %s"):format(i, case[6]), function ()
			local verdict, text = fencing.judge(case[1], case[2], case[3], case[4]);
			assert.equal(case[5], verdict);
			if not verdict then assert.equal(case[6], text); end
		end);
	end
	it("never lets in an epoch below the highest that it let in", function ()
		math.randomseed(11);
		for _ = 1, 200 do
			local record, highest = nil, 0;
			for _ = 1, 30 do
				local epoch = math.random(1, 12);
				local connected = math.random() < 0.5;
				local instance = ({ "", "a", "b" })[math.random(3)];
				local verdict = fencing.judge(record, connected and record ~= nil, epoch, instance);
				if verdict then
					assert.is_true(epoch >= highest);
					highest = epoch;
					record = { epoch = epoch, instance = instance };
				elseif record and math.random() < 0.1 then
					record.released = 1;
				end
			end
		end
	end);
end);

describe("an assignment", function ()
	it("may raise or repeat the epoch, and not lower it", function ()
		assert.is_true(fencing.assignable(nil, 1));
		assert.is_true(fencing.assignable(HELD, 8));
		assert.is_true(fencing.assignable(HELD, 7));
		assert.is_false(fencing.assignable(HELD, 6));
	end);
	it("must be above a released epoch", function ()
		assert.is_false(fencing.assignable(RELEASED, 7));
		assert.is_true(fencing.assignable(RELEASED, 8));
	end);
end);
