-- The append-only log.
local support = dofile "tests/lua/support.lua";
local journal = support.lib "journal";

-- Every tag with fields that its format takes.
local RECORDS = {
	{ "V", "gen" }, { "O", 1, "a@b" }, { "E", 1, 7, "pod" }, { "C", 1, 12, 999999999999999 }, { "L", 1, 1000.5 }, { "P", 1 },
	{ "W", 1, 1000.25, "<message/>" }, { "Q", 1, -3, 1.5, "keep", "m\0a\0b", "<message>\0\255</message>" }, { "M", 1, 3 },
	{ "X", 1, 4 }, { "A", 1, 42 }, { "G", 1, 43 }, { "U", 1, -7 }, { "N", 1, 44 }, { "S", 1, ("x"):rep(70000) }, { "Z" },
};

local function written(disk)
	local one = journal.new(disk);
	assert(one:rotate());
	for _, record in ipairs(RECORDS) do assert.is_true(one:append(table.unpack(record))); end
	assert.is_true(one:flush());
	return one;
end

local function read(disk)
	local found = {};
	local count, broken, last = journal.new(disk):replay(function (...) found[#found + 1] = { ... }; end);
	return found, count, broken, last;
end

describe("a record", function ()
	for _, record in ipairs(RECORDS) do
		it("of tag " .. record[1] .. " comes back as it was", function ()
			local fields, text = journal.encode(table.unpack(record));
			local back = journal.decode(fields .. text);
			back.n = nil;
			assert.same(record, back);
		end);
	end
end);

describe("a journal", function ()
	it("gives back what was written, over segments", function ()
		local disk = support.disk();
		local one = written(disk);
		assert(one:rotate());
		one:append("A", 1, 50);
		one:flush();
		local found, count, broken, last = read(disk);
		assert.same({ #RECORDS + 1, 0, "A" }, { count, broken, last });
		for i, record in ipairs(RECORDS) do
			assert.same(record, found[i]);
		end
	end);

	it("gives back a prefix when it is cut at any byte", function ()
		local disk = support.disk();
		local one = journal.new(disk);
		assert(one:rotate());
		local ends = { [0] = 0 };
		for n = 1, 12 do
			one:append("W", 1, n, ("<message>%d</message>"):format(n));
			ends[n] = one.size;
		end
		one:flush();
		for bytes = 0, one.size do
			local found, count, broken = read(disk.cut(1, bytes));
			local whole = 0;
			while ends[whole + 1] and ends[whole + 1] <= bytes do whole = whole + 1; end
			assert.equal(whole, count);
			assert.equal(bytes == ends[whole] and 0 or 1, broken);
			if whole > 0 then assert.equal(whole, found[whole][3]); end
		end
	end);

	it("ends a segment at a damaged byte and reads the next one", function ()
		local disk = support.disk();
		local one = journal.new(disk);
		assert(one:rotate());
		for n = 1, 5 do one:append("A", 1, n); end
		local size = one.size;
		one:flush();
		assert(one:rotate());
		one:append("A", 1, 99);
		one:flush();
		for byte = 1, size do
			local copy = disk.cut(1, size);
			local text = copy.segments[1].safe;
			copy.segments[1].safe = text:sub(1, byte - 1) .. string.char(text:byte(byte) ~ 0x55) .. text:sub(byte + 1);
			local found, count, broken = read(copy);
			assert.equal(1, broken);
			assert.equal((byte - 1) // (size // 5) + 1, count);
			assert.equal(99, found[count][3]);
		end
	end);

	it("takes zeros at the end (a power cut) as damage", function ()
		local disk = support.disk();
		written(disk);
		disk.segments[1].safe = disk.segments[1].safe .. ("\0"):rep(64);
		local _, count, broken = read(disk);
		assert.same({ #RECORDS, 1 }, { count, broken });
	end);

	it("never appends behind what an earlier process wrote", function ()
		local disk = support.disk();
		written(disk);
		local next_one = journal.new(disk);
		assert.is_nil((next_one:append("A", 1, 1)));
		assert(next_one:rotate());
		assert.same({ 1, 2 }, next_one.segments);
		next_one:retire();
		assert.same({ 2 }, next_one.segments);
		assert.is_nil(disk.segments[1]);
	end);

	it("loses what was not flushed, and nothing else, in a crash", function ()
		local disk = support.disk();
		local one = written(disk);
		one:append("A", 1, 1);
		disk.crash(0);
		assert.equal(#RECORDS, select(2, read(disk)));
	end);

	it("refuses everything after a failed write, until there is a new segment", function ()
		local disk = support.disk();
		local one = written(disk);
		disk.room = 10;
		local ok, err = one:append("A", 1, 1);
		assert.same({ nil, "No space left on device" }, { ok, err });
		disk.room = math.huge;
		assert.is_nil((one:append("A", 1, 2)));
		assert.is_false((one:flush()) == true);
		assert(one:rotate());
		assert.is_true(one:append("A", 1, 3));
		one:flush();
		local found, count, broken = read(disk);
		assert.same({ #RECORDS + 1, 1 }, { count, broken });
		assert.equal(3, found[count][3]);
	end);

	it("stays with its segment when a new one cannot be made", function ()
		local disk = support.disk();
		local one = written(disk);
		disk.room = 0;
		assert.is_nil((one:rotate()));
		disk.room = math.huge;
		assert.is_true(one:append("A", 1, 1));
	end);

	it("syncs at each flush when it is told to, and reports a failed one", function ()
		local disk = support.disk();
		local outcome = true;
		disk.sync = function () disk.syncs = disk.syncs + 1; return outcome, "I/O error"; end
		local one = written(disk);
		one:flush(); -- nothing new
		assert.equal(1, disk.syncs);
		one:append("A", 1, 1);
		outcome = nil;
		assert.same({ nil, "I/O error" }, { one:flush() });
		assert.is_nil((one:append("A", 1, 2)));
	end);

	it("takes nothing after it was closed", function ()
		local disk = support.disk();
		local one = written(disk);
		one:close();
		one:close();
		assert.is_nil((one:append("A", 1, 1)));
	end);
end);

describe("segments on a real disk", function ()
	local segments = support.lib "segments";
	local lfs = require "lfs";
	local folder;
	before_each(function ()
		folder = os.tmpname();
		os.remove(folder);
		assert(lfs.mkdir(folder));
	end);
	after_each(function ()
		for name in lfs.dir(folder) do os.remove(folder .. "/" .. name); end
		assert(lfs.rmdir(folder));
	end);

	it("are found again in order, and others' files are left alone", function ()
		assert(io.open(folder .. "/accounts.dat", "w")):close();
		local one = journal.new(segments.new(folder));
		for n = 1, 11 do
			assert(one:rotate());
			one:append("A", 1, n);
		end
		one:close();
		local found = {};
		journal.new(segments.new(folder)):replay(function (_, _, n) found[#found + 1] = n; end);
		assert.same({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 }, found);
		local again = journal.new(segments.new(folder));
		assert(again:rotate());
		again:retire();
		assert.same({ 12 }, segments.new(folder).list());
		assert.is_truthy(lfs.attributes(folder .. "/accounts.dat"));
	end);

	it("report a folder that is not there", function ()
		assert.has_error(function () segments.new(folder .. "/none").list(); end);
	end);

	it("are synced by lua-posix, when it is there", function ()
		local synced;
		package.loaded["posix.unistd"] = { fsync = function (fd) synced = fd; return 0; end };
		package.loaded["posix.stdio"] = { fileno = function () return 17; end };
		finally(function () package.loaded["posix.unistd"], package.loaded["posix.stdio"] = nil, nil; end);
		local one = journal.new(segments.new(folder, segments.posix_sync()));
		assert(one:rotate());
		one:append("A", 1, 1);
		assert.is_true(one:flush());
		assert.equal(17, synced);
		one:close();
	end);

	it("say when lua-posix is not there", function ()
		package.preload["posix.unistd"] = function () error("not installed"); end
		finally(function () package.preload["posix.unistd"], package.loaded["posix.unistd"] = nil, nil; end);
		assert.is_nil(segments.posix_sync());
	end);
end);
