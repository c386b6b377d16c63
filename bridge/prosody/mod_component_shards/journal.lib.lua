-- An append-only log in numbered segments: every change of the book (book.lib.lua) is one record, written and
-- flushed before the change counts. Records of all segments, in order, give the state back.
--
-- A record on disk: length (4 bytes), check (first 4 bytes of the payload's MD5), payload = tag byte + fields.
-- A torn or damaged record ends its segment; a new process never appends behind one: it opens a new segment.
-- Snapshots are records too, written one owner at a time; when all are in the newest segment the older go.
local hashes = require "util.hashes";

local pack, unpack = string.pack, string.unpack;

-- Field formats by tag (what each means: book.lib.lua). j: 64-bit integer, d: seconds, s2/s4: text.
local FORMATS = {
	V = "s2", -- generation of the numbering
	O = "I4s2", E = "I4js1", C = "I4jj", L = "I4d", P = "I4",
	W = "I4ds4", Q = "I4jds1s2s4", M = "I4j", X = "I4j", A = "I4j", G = "I4j", N = "I4j", U = "I4j",
	S = "I4s4", Z = "",
};
for tag, format in pairs(FORMATS) do FORMATS[tag] = "<c1" .. format; end

local HEADER = 8; -- bytes
local MAX_RECORD = 256 * 1024 * 1024; -- bytes; a length beyond this is damage, not a record

local function encode(tag, ...)
	return pack(FORMATS[tag], tag, ...);
end

local function header_of(payload)
	return pack("<I4", #payload) .. hashes.md5(payload):sub(1, 4);
end

-- Tag and fields of a payload (what `encode` made).
local function decode(payload)
	return unpack(FORMATS[payload:sub(1, 1)] or error("unknown record"), payload);
end

-- The next payload of a file opened for reading; or nil and "end", "torn" or "damaged".
local function read_record(file)
	local header = file:read(HEADER);
	if not header then return nil, "end"; end
	if #header < HEADER then return nil, "torn"; end
	local length = unpack("<I4", header);
	if length == 0 or length > MAX_RECORD then return nil, "damaged"; end
	local payload = file:read(length);
	if not payload or #payload < length then return nil, "torn"; end
	if header_of(payload) ~= header or not FORMATS[payload:sub(1, 1)] then
		return nil, "damaged";
	end
	return payload;
end

local methods = {};
local journal_mt = { __index = methods };

-- where: { prefix = "/folder/name", list = function() -> names' numbers, open, remove, sync } (segments.lib.lua
-- on disk; a table in tests). Nothing is opened before `rotate`.
local function new(where)
	local numbers = where.list();
	table.sort(numbers);
	return setmetatable({ where = where, segments = numbers, file = nil, size = 0, dirty = false }, journal_mt);
end

-- Feed every record of every segment to handler(tag, ...). Returns how many there were, how many segments
-- ended torn or damaged, and the last tag.
function methods:replay(handler)
	local count, broken, last = 0, 0, nil;
	for _, number in ipairs(self.segments) do
		local file, why = self.where.open(number, "rb"), "unreadable";
		if file then
			local payload;
			repeat
				payload, why = read_record(file);
				if payload then
					count, last = count + 1, payload:sub(1, 1);
					handler(decode(payload));
				end
			until not payload;
			file:close();
		end
		if why ~= "end" then broken = broken + 1; end
	end
	return count, broken, last;
end

-- Start a new segment; the older ones stay until `retire`. Returns true, or nil and the error.
function methods:rotate()
	local number = (self.segments[#self.segments] or 0) + 1;
	local file, err = self.where.open(number, "wb");
	if not file then return nil, err; end
	file:setvbuf("full", 65536);
	if self.file then self.file:close(); end
	self.segments[#self.segments + 1] = number;
	self.file, self.size, self.dirty, self.failed = file, 0, false, nil;
	return true;
end

-- Remove all segments but the newest (every record's owner has its snapshot there).
function methods:retire()
	while #self.segments > 1 do
		self.where.remove(table.remove(self.segments, 1));
	end
end

-- Write one record (buffered). Returns true, or nil and the error; after an error nothing is accepted until
-- `rotate`: a record behind a half-written one could never be read.
function methods:append(tag, ...)
	if self.failed or not self.file then return nil, self.failed or "no segment is open"; end
	local payload = encode(tag, ...);
	local ok, err = self.file:write(header_of(payload), payload);
	if not ok then
		self.failed = err or "write failed";
		return nil, self.failed;
	end
	self.size, self.dirty = self.size + HEADER + #payload, true;
	return true;
end

-- Hand what was written to the operating system (and to the disk when `where.sync` is given): then it survives
-- kill -9 (and a power cut). Returns true, or nil and the error.
function methods:flush()
	if not self.dirty then return not self.failed, self.failed; end
	local ok, err = self.file:flush();
	if ok and self.where.sync then ok, err = self.where.sync(self.file); end
	if not ok then
		self.failed = err or "flush failed";
		return nil, self.failed;
	end
	self.dirty = false;
	return true;
end

function methods:close()
	if self.file then
		self:flush();
		self.file:close();
		self.file = nil;
	end
end

return { new = new; encode = encode; decode = decode; };
