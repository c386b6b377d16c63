-- The book of owners as a fold over the journal.
local support = dofile "tests/lua/support.lua";
local box, journal = support.lib "box", support.lib "journal";
local lib = support.lib "book" (box, journal);

local function open(disk, keep, gen)
	local book = lib.new(journal.new(disk), keep ~= false);
	local count, broken = assert(book:load(gen or "gen"));
	return book, count, broken;
end

-- Everything that must survive, as text.
local function image(book)
	local parts, owners = { book.gen, book.stanzas, book.bytes }, {};
	for owner in pairs(book.by_owner) do owners[#owners + 1] = owner; end
	table.sort(owners);
	for _, owner in ipairs(owners) do
		local r = book.by_owner[owner];
		local b = r.box;
		parts[#parts + 1] = ("%s #%d e%d %q s%d c%d r%.1f f%d n%d b%d w%d q%d"):format(owner, r.id, r.epoch, r.instance, r.seq,
			r.count, r.released or 0, b.first, b.next, b.bytes, b.waiting, b.q_bytes);
		for n = b.first, b.next - 1 do parts[#parts + 1] = ("%d=%s@%.1f"):format(n, tostring(b.xml[n]), b.at[n]); end
		for position, xml, at, kind, key in box.entries(b) do
			parts[#parts + 1] = ("%d:%s %q %s@%.1f"):format(position, kind, key, xml, at);
			if key ~= "" then assert.equal(position, box.named(b, key)); end
		end
	end
	return table.concat(parts, "\n");
end

-- One random change, as the drivers make them. Every text is new, so that a loss or a repeat shows.
local made = 0;
local function change(book, time, seen)
	local owners = { "", "a@b", "b@b", "c@b" };
	local record = assert(book:open(owners[math.random(#owners)]));
	if seen then seen(time); end
	local b, dice = record.box, math.random();
	made = made + 1;
	local xml = ("<message id='%d'/>"):format(made);
	if dice < 0.2 then
		book:commit("W", record, time, xml);
	elseif dice < 0.4 then
		local front = math.random() < 0.2;
		book:commit("Q", record, front and box.front(b) or box.tail(b), time, "keep", front and "key" .. made or "", xml);
	elseif dice < 0.55 and b.waiting > 0 then
		book:commit("M", record, math.random(b.waiting));
	elseif dice < 0.65 and b.waiting > 0 then
		book:commit("X", record, (box.head(b)));
	elseif dice < 0.75 and box.unacked(b) > 0 then
		book:commit("A", record, math.random(b.first, b.next - 1));
	elseif dice < 0.8 and box.unacked(b) > 0 then
		book:commit("G", record, math.random(b.first, b.next - 1));
	elseif dice < 0.88 then
		book:commit("C", record, record.count + 1, record.seq + math.random(0, 2));
	elseif dice < 0.94 then
		book:commit("E", record, record.epoch + math.random(0, 1), "i" .. math.random(2));
	elseif dice < 0.95 then
		book:commit("N", record, b.next + math.random(0, 3));
	elseif dice < 0.96 then
		book:commit("U", record, box.front(b));
	elseif dice < 0.98 then
		book:commit("L", record, time);
	else
		book:commit("P", record);
	end
end

describe("a book", function ()
	it("starts empty with the generation it is offered, and keeps that", function ()
		local disk = support.disk();
		assert.equal("one", open(disk, true, "one").gen);
		assert.equal("one", open(disk, true, "two").gen);
	end);

	it("is the same after a restart at any moment of a random walk", function ()
		math.randomseed(42);
		for _ = 1, 8 do
			local disk = support.disk();
			local book = open(disk);
			for time = 1, 250 do
				change(book, time);
				if math.random() < 0.05 and not book.snapshots then assert.is_true(book:start_snapshots()); end
				if math.random() < 0.3 then book:step(math.random(1, 400), time); end
				if math.random() < 0.2 then
					book:flush();
					disk.crash(0);
					local before = image(book);
					book = open(disk);
					assert.equal(before, image(book));
				end
			end
		end
	end);

	it("is the same as some moment before the crash when the journal is cut at any byte", function ()
		math.randomseed(7);
		local disk = support.disk();
		local book = open(disk);
		local images = { [image(book)] = 0 };
		local last = 0;
		for time = 1, 40 do
			change(book, time, function () images[image(book)] = time - 0.5; end);
			images[image(book)] = time;
		end
		book:flush();
		local size = #disk.segments[1].safe;
		for bytes = 0, size do
			local again = lib.new(journal.new(disk.cut(1, bytes)), true);
			assert(again:load("gen"));
			local moment = images[image(again)];
			assert.is_truthy(moment, "not a moment of the walk: byte " .. bytes);
			assert.is_true(moment >= last or bytes == 0);
			last = moment;
		end
		assert.equal(image(book), image(open(disk)));
	end);

	it("is the same when the snapshot's segment is cut at any byte", function ()
		math.randomseed(9);
		local disk = support.disk();
		local book = open(disk);
		for time = 1, 60 do change(book, time); end
		book:step(math.huge, 61);
		local before = image(book);
		assert(book:start_snapshots());
		local newest = book.journal.segments[#book.journal.segments];
		-- Everything but the very end of the step, which would remove the older segment.
		book.journal.retire = function () end;
		assert.is_true(book:step(math.huge, 61));
		for bytes = 0, #disk.segments[newest].safe do
			assert.equal(before, image(open(disk.cut(newest, bytes))));
		end
	end);

	it("keeps the older segments until every record has its snapshot", function ()
		local disk = support.disk();
		local book = open(disk);
		book:step(1, 0);
		for n = 1, 10 do book:open(("u%d@b"):format(n)); end
		assert(book:start_snapshots());
		local steps = 0;
		while not book:step(1, 0) do
			steps = steps + 1;
			assert.equal(2, #disk.list());
		end
		assert.equal(9, steps);
		assert.equal(1, #disk.list());
		assert.is_not_nil(open(disk).by_owner["u7@b"]);
	end);

	it("restarts the count of stanzas with a new epoch or instance, not with the same one", function ()
		local book = open(support.disk());
		local record = book:open("a@b");
		book:commit("E", record, 1, "i");
		book:commit("C", record, 5, 3);
		book:commit("E", record, 1, "i");
		assert.same({ 5, 3 }, { record.count, record.seq });
		book:commit("E", record, 1, "j");
		assert.same({ 0, 3 }, { record.count, record.seq });
		book:commit("C", record, 2, 4);
		book:commit("E", record, 2, "j");
		assert.same({ 0, 4 }, { record.count, record.seq });
	end);

	it("keeps the fence, the sequence and the numbers of a released owner, and none of its stanzas", function ()
		local disk = support.disk();
		local book = open(disk);
		local record = book:open("a@b");
		book:commit("E", record, 7, "i");
		book:commit("C", record, 5, 30);
		book:commit("W", record, 1, "<message/>");
		book:commit("Q", record, box.tail(record.box), 1, "keep", "", "<message/>");
		book:commit("L", record, 100);
		assert.same({ 0, 0 }, { book.stanzas, book.bytes });
		book:flush();
		local again = open(disk).by_owner["a@b"];
		assert.same({ 7, 30, 100.0, 2, 2, 0 },
			{ again.epoch, again.seq, again.released, again.box.first, again.box.next, again.box.waiting });
	end);

	it("forgets a released owner after 400 days, and not before", function ()
		local disk = support.disk();
		local book = open(disk);
		book:commit("L", book:open("old@b"), 1000);
		book:commit("L", book:open("new@b"), 2000);
		assert(book:start_snapshots());
		book:step(math.huge, 1000 + lib.RELEASED_FOR + 1);
		assert.is_nil(book.by_owner["old@b"]);
		assert.is_not_nil(book.by_owner["new@b"]);
		assert.is_nil(open(disk).by_owner["old@b"]);
		assert.equal(400 * 86400, lib.RELEASED_FOR);
	end);

	it("forgets everything of a purged owner, and numbers the next record apart", function ()
		local disk = support.disk();
		local book = open(disk);
		local id = book:open("a@b").id;
		book:commit("P", book:open("a@b"));
		assert.is_nil(book.by_owner["a@b"]);
		book:flush();
		assert.is_nil(open(disk).by_owner["a@b"]);
		assert.not_equal(id, book:open("a@b").id);
	end);

	it("changes nothing when the change cannot be written", function ()
		local disk = support.disk();
		local book = open(disk);
		local record = book:open("a@b");
		local before = image(book);
		disk.room = 3;
		assert.is_nil((book:commit("W", record, 1, "<message/>")));
		assert.is_nil((book:commit("E", record, 9, "")));
		assert.is_nil((book:open("new@b")));
		assert.equal(before, image(book));
	end);

	it("is whole again after the disk was full, when a new segment has its snapshots", function ()
		local disk = support.disk();
		local book = open(disk);
		book:step(math.huge, 0);
		local record = book:open("a@b");
		book:commit("W", record, 1, "<first/>");
		book:flush();
		disk.room = 10;
		assert.is_nil((book:commit("W", record, 2, "<lost/>")));
		disk.room = math.huge;
		assert.is_true(book:start_snapshots());
		book:commit("W", record, 3, "<second/>");
		assert.is_true(book:step(math.huge, 3));
		local again = open(disk).by_owner["a@b"].box;
		assert.same({ "<first/>", "<second/>" }, { again.xml[1], again.xml[2] });
	end);
end);

describe("a book that keeps stanzas in memory", function ()
	it("keeps epochs, sequences and counts over a crash, and says by a new generation that stanzas are gone", function ()
		local disk = support.disk();
		local book = open(disk, false, "one");
		local record = book:open("a@b");
		book:commit("E", record, 7, "i");
		book:commit("C", record, 4, 9);
		book:commit("W", record, 1, "<message/>");
		book:flush();
		disk.crash(0);
		local again = open(disk, false, "two");
		local r = again.by_owner["a@b"];
		assert.same({ "two", 7, 4, 9, 1, 0, 0 }, { again.gen, r.epoch, r.count, r.seq, r.box.next, again.stanzas, again.bytes });
	end);
	it("keeps everything over a clean stop, once", function ()
		local disk = support.disk();
		local book = open(disk, false, "one");
		local record = book:open("a@b");
		book:commit("W", record, 1, "<message/>");
		book:commit("Q", record, box.tail(record.box), 1, "keep", "", "<iq/>");
		local before = image(book);
		book:close(5);
		local again = open(disk, false, "two");
		assert.equal(before, image(again));
		again:flush();
		disk.crash(0); -- without a clean stop the second time
		assert.equal("three", open(disk, false, "three").gen);
	end);
	it("can be changed to disk and back by the configuration", function ()
		local disk = support.disk();
		local book = open(disk, false, "one");
		book:commit("W", book:open("a@b"), 1, "<message/>");
		book:close(1);
		local on_disk = open(disk, true, "two");
		assert.same({ "one", 1 }, { on_disk.gen, on_disk.stanzas });
	end);
end);
