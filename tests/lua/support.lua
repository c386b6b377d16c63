-- What the specs share: the module's libraries without Prosody, stanzas from text, a disk that crashes, a world
-- with fake connections. Run from the repository's root: busted --lua=/usr/bin/lua5.4 tests/lua
local prosody = "/usr/lib/prosody/";
package.path = prosody .. "?.lua;" .. package.path;
package.cpath = prosody .. "?.so;" .. package.cpath;

local folder = "bridge/prosody/mod_component_shards/";
local support = {};

-- A library of the module, loaded as module:require does.
function support.lib(name)
	return assert(loadfile(folder .. name .. ".lib.lua"))();
end

-- A stanza as util.xmppstream would give it (every element below a foreign namespace carries its own).
function support.stanza(text)
	local stanza = assert(require "util.xml".parse(text));
	local function inherit(element, ns)
		if element.attr.xmlns == "" then element.attr.xmlns = nil; end
		element.attr.xmlns = element.attr.xmlns or ns;
		for _, child in ipairs(element.tags) do inherit(child, element.attr.xmlns); end
	end
	inherit(stanza, nil);
	return stanza;
end

-- A disk of segments for journal.lib.lua: written bytes are safe after flush; `crash` keeps those and, of what
-- was written and not flushed, as many bytes as it is told. `room`: bytes until every write fails.
function support.disk()
	local disk = { segments = {}, room = math.huge, syncs = 0 };
	local function writer(segment)
		local file = {};
		function file:setvbuf() return self; end
		function file:write(...)
			local text = table.concat({ ... });
			if #text > disk.room then
				segment.pending = segment.pending .. text:sub(1, disk.room);
				return nil, "No space left on device";
			end
			disk.room = disk.room - #text;
			segment.pending = segment.pending .. text;
			return self;
		end
		function file:flush()
			segment.safe, segment.pending = segment.safe .. segment.pending, "";
			return self;
		end
		file.close = file.flush;
		return file;
	end
	local function reader(segment)
		local offset = 1;
		local file = {};
		function file.read(_, count)
			if offset > #segment.safe then return nil; end
			local text = segment.safe:sub(offset, offset + count - 1);
			offset = offset + count;
			return text;
		end
		function file.close() end
		return file;
	end
	function disk.list()
		local numbers = {};
		for number in pairs(disk.segments) do numbers[#numbers + 1] = number; end
		return numbers;
	end
	function disk.open(number, mode)
		if mode == "rb" then return disk.segments[number] and reader(disk.segments[number]); end
		if disk.room <= 0 then return nil, "No space left on device"; end
		disk.segments[number] = { safe = "", pending = "" };
		return writer(disk.segments[number]);
	end
	function disk.remove(number) disk.segments[number] = nil; end
	function disk.crash(torn)
		for _, segment in pairs(disk.segments) do
			segment.safe, segment.pending = segment.safe .. segment.pending:sub(1, torn), "";
		end
	end
	-- A copy of the disk as it is, with only `bytes` of segment `number`.
	function disk.cut(number, bytes)
		local copy = support.disk();
		for other, segment in pairs(disk.segments) do
			local text = segment.safe .. segment.pending;
			copy.segments[other] = { safe = other == number and text:sub(1, bytes) or text, pending = "" };
		end
		return copy;
	end
	return disk;
end

-- A component host without Prosody: everything between the event hooks and the connections, on a crashing disk.
-- world.sent: stanzas that went to the outside. world.clock moves time.
function support.world(options)
	local settings, secrets, box = support.lib "settings", support.lib "secrets", support.lib "box";
	local patience, journal = support.lib "patience", support.lib "journal";
	local new_book = support.lib "book" (box, journal).new;
	local world = { disk = support.disk(), clock = 1000, sent = {}, posted = {}, fired = {}, generation = 0, logged = {} };
	world.options = { window = 4, window_bytes = 1e6, domain_size = 1e6, domain_bytes = 1e9, queue_age = 900, iq_age = 15,
		startup_grace = 30, queue = { size = 500, bytes = 1e6 }, gateway = { size = 500, bytes = 1e6 },
		upload_as_owner = true, rate = 1000, burst = 2000 };
	for name, value in pairs(options or {}) do world.options[name] = value; end
	local storage = world.options.storage ~= "memory";

	-- Start it (again) on what the disk holds.
	function world.boot()
		world.generation = world.generation + 1;
		local host = { domain = "wa.test", options = world.options, totals = settings.totals(), rules = {}, names = {},
			uploads = { ["up.test"] = true }, loaded_at = world.clock, gateway_lost = world.clock };
		world.host = host;
		function host.now() return world.clock; end
		function host.send(stanza) world.sent[#world.sent + 1] = stanza; end
		function host.post(session, stanza)
			world.posted[#world.posted + 1] = stanza;
			if world.on_post then world.on_post(session, stanza); end
		end
		function host.fire(event, session)
			world.fired[#world.fired + 1] = event;
			if world.on_fire then world.on_fire(session); end
		end
		function host.log(_, text, ...) world.logged[#world.logged + 1] = text:format(...); end
		host.prep = require "util.jid".prep;
		function host.name_for(owner) return secrets.opaque("key", "wa.test", owner); end
		function host.name_of(record)
			record.name = record.name or host.name_for(record.owner);
			host.names[record.name] = record;
			return record.name;
		end
		local private_ids = support.lib "private_ids";
		host.ids = private_ids.new("boot" .. world.generation .. "-", 100);
		host.book = new_book(journal.new(world.disk), storage);
		world.records, world.broken = assert(host.book:load("gen" .. world.generation));
		assert(host.book:open(""));
		host.book:flush();
		world.book = host.book;
		local fencing, policy = support.lib "fencing", support.lib "policy";
		world.delivery = support.lib "delivery" (host, box, patience, support.lib "serialize");
		world.sessions = support.lib "sessions" (host, fencing, box, secrets, world.delivery);
		world.router = support.lib "router" (host, policy, private_ids, secrets, world.delivery);
		world.control = support.lib "control" (host, fencing, box, secrets, world.delivery, world.sessions);
		host.control_iq = world.control.iq;
		for _, record in pairs(host.book.by_id) do world.delivery.leave(record); end
		return world;
	end

	-- kill -9: unflushed bytes are gone but for `torn` of them; then start again.
	function world.crash(torn)
		world.disk.crash(torn or 0);
		return world.boot();
	end

	-- A connection that proved `claim`. wire.out: everything written, wire.closed: the stream error.
	function world.connect(claim)
		local wire = { out = {} };
		local session = { type = "component_unauthed", log = function () end };
		session.conn = { write = function (_, text) wire.out[#wire.out + 1] = text; end };
		function session.close(_, reason)
			wire.closed = reason or { condition = "none" };
			if session.record then world.sessions.detach(session); end
		end
		wire.session = session;
		local who = { role = "shard", owner = "alice@example.test", epoch = 1, instance = "", acks = true };
		for name, value in pairs(claim or {}) do who[name] = value; end
		world.sessions.open(session, who);
		return wire;
	end

	-- A message from the owner to a contact comes in.
	function world.arrive(text)
		local stanza = support.stanza(text);
		local node = stanza.attr.to:match("@");
		return (node and world.router.to_contact or world.router.to_domain)({ stanza = stanza });
	end

	function world.message(body, from, to)
		return world.arrive(("<message type='chat' from='%s' to='%s' id='%s'><body>%s</body></message>"):format(
			from or "alice@example.test/r", to or "c@wa.test", body, body));
	end

	return world.boot();
end

-- The bodies in what was written to a wire, in order.
function support.bodies(wire)
	local found = {};
	for body in table.concat(wire.out):gmatch("<body>(.-)</body>") do found[#found + 1] = body; end
	return found;
end

return support;
