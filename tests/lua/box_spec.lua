-- Window and queue of one stream.
local support = dofile "tests/lua/support.lua";
local box = support.lib "box";

local function filled(count)
	local one = box.new();
	for n = 1, count do box.push(one, n, "x" .. n); end
	return one;
end

local function texts(one)
	local found = {};
	for _, xml in box.entries(one) do found[#found + 1] = xml; end
	return table.concat(found, " ");
end

describe("a window", function ()
	it("numbers from 1 and counts bytes", function ()
		local one = filled(3);
		assert.same({ 1, 4, 3, 6 }, { one.first, one.next, box.unacked(one), one.bytes });
	end);
	it("drops what is acknowledged and says how much that was", function ()
		local one = filled(5);
		assert.same({ 3, 6 }, { box.ack(one, 3) });
		assert.same({ 4, 6, 4 }, { one.first, one.next, one.bytes });
		assert.is_nil(one.xml[3]);
		assert.equal("x4", one.xml[4]);
	end);
	it("takes an old acknowledgement as harmless", function ()
		local one = filled(5);
		box.ack(one, 3);
		assert.same({ 0, 0 }, { box.ack(one, 2) });
		assert.equal(4, one.first);
	end);
	it("knows an acknowledgement of what was never written", function ()
		local one = filled(2);
		assert.is_nil(box.ack(one, 3));
		assert.equal(2, box.unacked(one));
	end);
	it("keeps a gap in the middle and skips leading ones", function ()
		local one = filled(4);
		assert.equal("x2", box.gap(one, 2));
		assert.same({ 1, false }, { one.first, one.xml[2] });
		assert.equal("x1", box.gap(one, 1));
		assert.same({ 3, 4 }, { one.first, one.bytes });
		assert.is_nil(box.gap(one, 9));
	end);
	it("does not count a gap as a stanza when it is acknowledged", function ()
		local one = filled(3);
		box.gap(one, 2);
		assert.same({ 2, 4 }, { box.ack(one, 3) });
		assert.equal(0, one.bytes);
	end);
end);

describe("a queue", function ()
	local function queue(...)
		local one = box.new();
		for _, text in ipairs{ ... } do box.enqueue(one, box.tail(one), 0, "keep", "", text); end
		return one;
	end
	it("keeps order and counts", function ()
		local one = queue("a", "bb", "ccc");
		assert.same({ 3, 6 }, { one.waiting, one.q_bytes });
		assert.equal("a bb ccc", texts(one));
	end);
	it("gives its head, over holes", function ()
		local one = queue("a", "b", "c");
		box.remove(one, 1);
		box.remove(one, 2);
		assert.equal(3, box.head(one));
		assert.same({ "c", 0, "keep", "" }, { box.entry(one, 3) });
	end);
	it("is nothing when it is empty, and goes on afterwards", function ()
		local one = queue("a");
		local position = box.head(one);
		assert.equal("a", (box.remove(one, position)));
		assert.is_nil(box.head(one));
		assert.is_nil(one.queue);
		assert.is_nil(box.remove(one, position));
		box.enqueue(one, box.tail(one), 0, "keep", "", "b");
		assert.equal("b", (box.entry(one, box.head(one))));
	end);
	it("takes an entry in front", function ()
		local one = queue("b");
		box.enqueue(one, box.front(one), 0, "mute", "advert", "a");
		assert.equal("a b", texts(one));
	end);
	it("takes an entry in front of nothing", function ()
		local one = box.new();
		box.enqueue(one, box.front(one), 0, "mute", "", "b");
		box.enqueue(one, box.front(one), 0, "mute", "", "a");
		box.enqueue(one, box.tail(one), 0, "mute", "", "c");
		assert.equal("a b c", texts(one));
	end);
	it("finds an entry by its key until it is gone", function ()
		local one = queue("a");
		box.enqueue(one, box.tail(one), 0, "latest", "k", "p1");
		assert.equal(2, box.named(one, "k"));
		box.remove(one, 2);
		assert.is_nil(box.named(one, "k"));
		assert.is_nil(box.named(box.new(), "k"));
	end);
	it("keeps what is found out about an entry, for as long as it waits", function ()
		local one = box.new();
		box.enqueue(one, 1, 0, box.UNKNOWN, "", "a");
		assert.equal(box.UNKNOWN, (select(3, box.entry(one, 1))));
		box.know(one, 1, "mute");
		assert.same({ "a", 0, "mute", "" }, { box.remove(one, 1) });
	end);
	it("may be emptied while somebody iterates", function ()
		local one = queue("a", "b", "c");
		for position in box.entries(one) do box.remove(one, position); end
		assert.equal(0, one.waiting);
		assert.equal(0, one.q_bytes);
	end);
end);

describe("an unwound window", function ()
	it("stands in front of the queue again, in order, without its gaps", function ()
		local one = filled(3);
		box.gap(one, 2);
		box.enqueue(one, box.tail(one), 9, "keep", "", "q");
		box.unwind(one, box.front(one));
		assert.equal("x1 x3 q", texts(one));
		assert.same({ 4, 4, 0 }, { one.first, one.next, one.bytes });
		assert.same({ 3, 5 }, { one.waiting, one.q_bytes });
	end);
end);

describe("a random walk over window and queue", function ()
	it("agrees with a list of what is on its way", function ()
		math.randomseed(23);
		for _ = 1, 60 do
			local one, window, queue, made = box.new(), {}, {}, 0;
			for _ = 1, 400 do
				local dice = math.random();
				if dice < 0.35 then
					made = made + 1;
					box.enqueue(one, box.tail(one), made, "keep", "", tostring(made));
					queue[#queue + 1] = tostring(made);
				elseif dice < 0.65 and #queue > 0 then
					local xml, at = box.remove(one, box.head(one));
					box.push(one, at, xml);
					assert.equal(queue[1], xml);
					window[#window + 1] = table.remove(queue, 1);
				elseif dice < 0.8 and #window > 0 then
					local count = math.random(#window);
					assert.equal(count, (box.ack(one, one.first + count - 1)));
					for _ = 1, count do table.remove(window, 1); end
				elseif dice < 0.9 and #queue > 0 then
					local nr, index = math.random(#queue), 0;
					for position in box.entries(one) do
						index = index + 1;
						if index == nr then box.remove(one, position); end
					end
					table.remove(queue, nr);
				elseif dice < 0.93 then
					box.unwind(one, box.front(one));
					for i = #window, 1, -1 do table.insert(queue, 1, window[i]); end
					window = {};
				end
				assert.equal(table.concat(queue, " "), texts(one));
				assert.equal(#window, box.unacked(one));
				for i, text in ipairs(window) do assert.equal(text, one.xml[one.first + i - 1]); end
				assert.equal(#table.concat(window), one.bytes);
				assert.equal(#table.concat(queue), one.q_bytes);
			end
		end
	end);
end);
