-- An append-only log in numbered segments: every change of the book (book.lib.lua) is one record, written and
-- flushed before the change counts. Records of all segments, in order, give the state back.
--
-- A record on disk: length (4 bytes), check (4 bytes), payload = tag byte + fields + text. The text (a stanza) is
-- written as it is, not copied into a payload first: garbage is what costs Prosody most.
-- A torn or damaged record ends its segment; a new process never appends behind one: it opens a new segment.
-- Snapshots are records too, written one owner at a time; when all are in the newest segment the older go.
local sha1 = require "util.hashes".sha1;

local pack, unpack, select = string.pack, string.unpack, select;

-- Field formats by tag (what each means: book.lib.lua), and which end in a text. j: 64-bit integer, d: seconds.
local FORMATS = {
	V = "s2", -- generation of the numbering
	O = "I4s2", E = "I4js1", C = "I4jj", L = "I4d", P = "I4",
	W = "I4d", Q = "I4jds1s2", M = "I4j", X = "I4j", A = "I4j", G = "I4j", N = "I4j", U = "I4j",
	S = "I4", Z = "",
};
local WITH_TEXT = { W = true, Q = true, S = true };
for tag, format in pairs(FORMATS) do FORMATS[tag] = "<c1" .. format; end

local HEADER = 8; -- bytes
local MAX_RECORD = 256 * 1024 * 1024; -- bytes; a length beyond this is damage, not a record

-- Fields (packed) and text of a record; the text is the last argument.
local function encode(tag, ...)
	local fields = pack(FORMATS[tag], tag, ...); -- string.pack leaves arguments beyond its format alone
	return fields, WITH_TEXT[tag] and select(select("#", ...), ...) or "";
end

-- The first 4 bytes of SHA-1 over the fields and the SHA-1 of the text: against torn writes, not against people.
local function check(fields, text)
	return sha1(text == "" and fields or fields .. sha1(text)):sub(1, 4);
end

-- Tag, fields and text of a payload (fields .. text), and where the text begins.
local function decode(payload)
	local values = table.pack(unpack(FORMATS[payload:sub(1, 1)] or error("unknown record"), payload));
	local start = values[values.n];
	if WITH_TEXT[values[1]] then
		values[values.n] = payload:sub(start);
	else
		values[values.n], values.n = nil, values.n - 1;
	end
	return values, start;
end

-- The next record of a file opened for reading, as `decode` gives it; or nil and "end", "torn" or "damaged".
local function read_record(file)
	local header = file:read(HEADER);
	if not header then return nil, "end"; end
	if #header < HEADER then return nil, "torn"; end
	local length = unpack("<I4", header);
	if length == 0 or length > MAX_RECORD then return nil, "damaged"; end
	local payload = file:read(length);
	if not payload or #payload < length then return nil, "torn"; end
	local readable, values, start = pcall(decode, payload);
	if not readable or check(payload:sub(1, start - 1), payload:sub(start)) ~= header:sub(5) then
		return nil, "damaged";
	end
	return values;
end

local methods = {};
local journal_mt = { __index = methods };

-- where: { list () -> numbers, open (number, mode) -> file, remove (number), sync (file) or nil } (segments.lib.lua
-- on disk; a table in tests). Nothing is opened for writing before `rotate`.
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
			local values;
			repeat
				values, why = read_record(file);
				if values then
					count, last = count + 1, values[1];
					handler(table.unpack(values, 1, values.n));
				end
			until not values;
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
	local fields, text = encode(tag, ...);
	local length = #fields + #text;
	local ok, err = self.file:write(pack("<I4", length), check(fields, text), fields, text);
	if not ok then
		self.failed = err or "write failed";
		return nil, self.failed;
	end
	self.size, self.dirty = self.size + HEADER + length, true;
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
