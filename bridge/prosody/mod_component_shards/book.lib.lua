-- Everything the module knows about owners, as a fold over the journal: each change is a record, written first
-- and applied then, and replaying the records gives the same book. Pure apart from the journal that it is given;
-- router.lib.lua changes it, mod_component_shards.lua opens it.
--
-- A record (of an owner) is { id, owner, epoch, instance, seq, count, released, box } + what router.lib.lua keeps
-- there in memory. owner "" is the front desk. released: when (seconds), then it is a tombstone: only the fence
-- (epoch) and the highest sequence number count.

local RELEASED_FOR = 400 * 86400; -- seconds; longer than any backup that somebody may still restore
local VOLATILE = { W = true, Q = true, M = true, X = true, A = true, G = true, N = true, U = true };

-- Positions, kinds and numbers as in box.lib.lua.
return function (box_lib, journal_lib)
	local decode = journal_lib.decode;
	local methods = {};
	local book_mt = { __index = methods };
	local apply = {};

	-- keep_stanzas: false for storage = "memory": stanzas are written at a clean stop only; the rest always is.
	local function new(journal, keep_stanzas)
		return setmetatable({
			journal = journal, keep_stanzas = keep_stanzas, gen = nil, by_owner = {}, by_id = {}, last_id = 0,
			stanzas = 0, bytes = 0, snapshots = nil, clean = false,
		}, book_mt);
	end

	local function add(book, id, owner)
		local record = { id = id, owner = owner, epoch = 0, instance = "", seq = 0, count = 0, released = nil,
			box = box_lib.new() };
		book.by_owner[owner], book.by_id[id] = record, record;
		if id > book.last_id then book.last_id = id; end
		return record;
	end

	local function account(book, stanzas, bytes)
		book.stanzas, book.bytes = book.stanzas + stanzas, book.bytes + bytes;
	end

	local function forget_stanzas(book, record)
		local box = record.box;
		local count = box.waiting;
		for n = box.first, box.next - 1 do
			if box.xml[n] then count = count + 1; end
		end
		account(book, -count, -(box.bytes + box.q_bytes));
		local next = box.next;
		record.box = box_lib.new();
		record.box.first, record.box.next = next, next;
	end

	-- One function per tag: the only places where the book changes. Each gets (book, record, fields…).
	function apply.E(_, record, epoch, instance)
		if epoch ~= record.epoch or instance ~= record.instance then record.count = 0; end
		record.epoch, record.instance, record.released = epoch, instance, nil;
		return true;
	end
	function apply.C(_, record, count, seq)
		record.count, record.seq = count, seq;
		return true;
	end
	function apply.L(book, record, at)
		forget_stanzas(book, record);
		record.released = at;
		return true;
	end
	function apply.P(book, record)
		forget_stanzas(book, record);
		book.by_owner[record.owner], book.by_id[record.id] = nil, nil;
		return true;
	end
	function apply.W(book, record, at, xml)
		if xml ~= "" then account(book, 1, #xml); end
		return box_lib.push(record.box, at, xml ~= "" and xml);
	end
	function apply.Q(book, record, position, at, kind, key, xml)
		account(book, 1, #xml);
		box_lib.enqueue(record.box, position, at, kind, key, xml);
		return position;
	end
	function apply.M(_, record, count)
		local box = record.box;
		for _ = 1, count do
			local xml, at = box_lib.remove(box, box_lib.head(box));
			if not xml then return nil; end
			box_lib.push(box, at, xml);
		end
		return true;
	end
	function apply.X(book, record, position)
		local xml = box_lib.remove(record.box, position);
		if xml then account(book, -1, -#xml); end
		return xml;
	end
	function apply.A(book, record, h)
		local count, bytes = box_lib.ack(record.box, h);
		if count then account(book, -count, -bytes); end
		return count;
	end
	function apply.N(book, record, next)
		local count, bytes = box_lib.ack(record.box, record.box.next - 1);
		account(book, -count, -bytes);
		record.box.first, record.box.next = next, next;
		return true;
	end
	function apply.G(book, record, n)
		local xml = box_lib.gap(record.box, n);
		if xml then account(book, -1, -#xml); end
		return xml;
	end
	function apply.U(_, record, position)
		box_lib.unwind(record.box, position);
		return true;
	end

	-- The whole of one record as text, and back. A box inside is told as the W and Q records that rebuild it.
	local function snapshot(record, with_stanzas)
		local box, parts = record.box, {};
		local function put(...)
			local fields, text = journal_lib.encode(...);
			parts[#parts + 1] = string.pack("<I4", #fields + #text) .. fields;
			parts[#parts + 1] = text;
		end
		parts[1] = string.pack("<s2js1djjj", record.owner, record.epoch, record.instance, record.released or 0,
			record.count, record.seq, with_stanzas and box.first or box.next);
		if with_stanzas then
			for n = box.first, box.next - 1 do
				put("W", record.id, box.at[n], box.xml[n] or "");
			end
			for position, xml, at, kind, key in box_lib.entries(box) do
				put("Q", record.id, position, at, kind, key, xml);
			end
		end
		return table.concat(parts);
	end

	local function restore(book, id, blob)
		local owner, epoch, instance, released, count, seq, first, offset = string.unpack("<s2js1djjj", blob);
		local old = book.by_id[id];
		if old then apply.P(book, old); end
		local record = add(book, id, owner);
		record.epoch, record.instance, record.released = epoch, instance, released ~= 0 and released or nil;
		record.count, record.seq, record.box.first, record.box.next = count, seq, first, first;
		while offset <= #blob do
			local payload;
			payload, offset = string.unpack("<s4", blob, offset);
			local values = decode(payload);
			apply[values[1]](book, record, table.unpack(values, 3, values.n));
		end
	end

	-- Take one replayed record in.
	function methods:replayed(tag, id, ...)
		self.clean = tag == "Z";
		if tag == "V" then
			self.gen = id;
		elseif tag == "O" then
			add(self, id, (...));
		elseif tag == "S" then
			restore(self, id, (...));
		elseif tag ~= "Z" and self.by_id[id] then
			apply[tag](self, self.by_id[id], ...);
		end
	end

	-- Write a change and apply it; what it returns depends on the tag. nil and an error when it cannot be
	-- written: then nothing happened. It counts as kept only after `flush`.
	function methods:commit(tag, record, ...)
		if self.keep_stanzas or not VOLATILE[tag] then
			local ok, err = self.journal:append(tag, record.id, ...);
			if not ok then return nil, err; end
		end
		return apply[tag](self, record, ...);
	end

	function methods:flush()
		return self.journal:flush();
	end

	-- The record of an owner, made if there is none.
	function methods:open(owner)
		local record = self.by_owner[owner];
		if record then return record; end
		local id = self.last_id + 1;
		local ok, err = self.journal:append("O", id, owner);
		if not ok then return nil, err; end
		return add(self, id, owner);
	end

	-- Read the journal and start a new segment. gen: the generation to use when there is none to go on with.
	-- Returns how many records were read and how many segments ended torn or damaged; or nil and an error.
	function methods:load(gen)
		local count, broken = self.journal:replay(function (...) self:replayed(...); end);
		if not self.keep_stanzas and not self.clean then
			-- Numbers without the stanzas behind them: what was on its way is lost, and a new generation says so.
			self.gen = nil;
			for _, record in pairs(self.by_id) do
				forget_stanzas(self, record);
				record.box = box_lib.new();
			end
		end
		self.gen = self.gen or gen;
		local ok, err = self:start_snapshots();
		if not ok then return nil, err; end
		return count, broken;
	end

	-- Begin a new segment into which every record will be written whole, some at a time (`step`).
	function methods:start_snapshots()
		local ok, err = self.journal:rotate();
		if not ok then return nil, err; end
		ok, err = self.journal:append("V", self.gen);
		if not ok then return nil, err; end
		local pending = {};
		for id in pairs(self.by_id) do pending[#pending + 1] = id; end
		self.snapshots = pending;
		return self.journal:flush();
	end

	-- Write snapshots until `budget` bytes are through; forget tombstones that are over age. True when all are
	-- done and the older segments are gone.
	function methods:step(budget, now, everything)
		local pending = self.snapshots;
		if not pending then return true; end
		local start = self.journal.size;
		while #pending > 0 and self.journal.size - start < budget do
			local record = self.by_id[table.remove(pending)];
			if record and record.released and now - record.released > RELEASED_FOR then
				if not self.journal:append("P", record.id) then return false; end
				apply.P(self, record);
			elseif record then
				local blob = snapshot(record, self.keep_stanzas or everything);
				if not self.journal:append("S", record.id, blob) then return false; end
			end
		end
		if not self.journal:flush() or #pending > 0 then return false; end
		self.snapshots = nil;
		self.journal:retire();
		return true;
	end

	-- A clean stop: everything in one fresh segment, and a mark that says so.
	function methods:close(now)
		if not self.keep_stanzas and self:start_snapshots() then
			self:step(math.huge, now, true);
			self.journal:append("Z");
		end
		self.journal:close();
	end

	return { new = new; RELEASED_FOR = RELEASED_FOR; };
end
