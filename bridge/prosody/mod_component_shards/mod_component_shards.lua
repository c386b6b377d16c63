-- Many component streams on one domain: each WhatsApp account is a process of its own (a shard) with a stream of
-- its own, and the front desk has one for everybody else. Fenced, isolated, queued on disk, acknowledged.
-- The wire protocol, the settings and the views are in README.md.
--
-- This file only puts the parts together: the global half listens, add_host makes the parts of one component.
module:set_global();

local async = require "util.async";
local datamanager = require "util.datamanager";
local jid = require "util.jid";
local new_id = require "util.id".long;
local new_uuid = require "util.uuid".generate;
local time = require "util.time";

local secrets = module:require "secrets";
local fencing = module:require "fencing";
local policy = module:require "policy";
local patience = module:require "patience";
local box = module:require "box";
local bucket = module:require "bucket";
local journal = module:require "journal";
local segments = module:require "segments";
local serialize = module:require "serialize";
local private_ids = module:require "private_ids";
local settings = module:require "settings";
local new_book = module:require "book" (box, journal).new;

local now = time.now; -- ages are kept over restarts, so they are told by the wall clock; rates are not
local core_post_stanza = prosody.core_post_stanza;
local LAST_WORDS = 0.1; -- seconds
local TICK = 1; -- seconds between two looks at what waits
local SNAPSHOT_STEP = 8 * 1024 * 1024; -- bytes of snapshots written in one tick
local SEGMENT_SIZE = 16 * 1024 * 1024; -- bytes, beyond twice the live data: then a new segment begins
local DISCARDED_IDS_PREFIX = 12; -- random characters in front of a private iq id

local hosts = {}; -- [domain] = what streams.lib.lua needs of a host

local streams = module:require "streams" ({
	module = module, now = time.monotonic, limits = settings.limits(module);
	host_of = function (domain) return hosts[domain]; end;
}, secrets, bucket);

local function traceback(err)
	module:log("error", "internal_error %s", debug.traceback(tostring(err), 2));
end

-- The folder of the host's data, made if need be, and its journal.
local function open_journal(host_module, options)
	local sync = nil;
	if options.fsync then
		sync = segments.posix_sync();
		if not sync then error("component_shards_fsync needs lua-posix for this version of Lua", 0); end
	end
	local path = datamanager.getpath(nil, host_module.host, "component_shards", "log", true);
	return journal.new(segments.new(path:match("^(.*)/[^/]*$"), sync));
end

local function load_book(host_module, options)
	local book = new_book(open_journal(host_module, options), options.storage == "disk");
	local records, broken = book:load(new_uuid());
	if not records then error("the journal cannot be opened: " .. tostring(broken), 0); end
	book:open("");
	book:flush();
	host_module:log(broken > 0 and "warn" or "info", "journal_read records=%d broken_segments=%d stanzas=%d",
		records, broken, book.stanzas);
	return book;
end

-- Keep names and records of owners together (logs, URLs and metrics show only the names).
local function add_names(host, key)
	host.names = {};
	function host.name_for(owner)
		return secrets.opaque(key, host.domain, owner);
	end
	function host.name_of(record)
		if not record.name then
			record.name = record.owner == "" and "gateway" or host.name_for(record.owner);
			host.names[record.name] = record;
		end
		return record.name;
	end
end

-- Once a second: bounce what is over age, flush what may wait, keep the journal short and working.
local function tick(host, delivery, moment)
	local book = host.book;
	if moment - host.loaded_at >= host.options.startup_grace then delivery.expire(moment); end
	book:flush();
	if book.journal.failed then
		host.log("error", "journal_failed cause=%s", book.journal.failed);
		host.totals.storage_failed = host.totals.storage_failed + 1;
		book:start_snapshots();
	elseif book.snapshots then
		book:step(SNAPSHOT_STEP, moment);
	elseif book.journal.size > SEGMENT_SIZE + 2 * book.bytes then
		book:start_snapshots();
	end
end

function module.add_host(module)
	if module:get_host_type() ~= "component" then
		error("load component_shards with: Component \"" .. module.host .. "\" \"component_shards\"", 0);
	end
	local options = settings.host(module);
	local host = {
		domain = module.host, options = options, now = now, totals = settings.totals(), rules = {},
		book = load_book(module, options), ids = private_ids.new(new_id():sub(1, DISCARDED_IDS_PREFIX), options.iq_table),
		uploads = options.upload_hosts, loaded_at = now(), gateway_lost = now(), prep = jid.prep,
	};
	function host.log(...) return module:log(...); end
	function host.send(stanza) return module:send(stanza); end
	function host.post(session, stanza) return xpcall(core_post_stanza, traceback, session, stanza); end
	function host.fire(event, session) return module:fire_event(event, { session = session }); end
	add_names(host, options.masters[1] or options.plain_secret or module.host);

	local delivery = module:require "delivery" (host, box, patience, serialize);
	local sessions = module:require "sessions" (host, fencing, box, secrets, delivery);
	local router = module:require "router" (host, policy, private_ids, secrets, delivery);
	local control = module:require "control" (host, fencing, box, secrets, delivery, sessions);
	host.control_iq = control.iq;

	for _, record in pairs(host.book.by_id) do delivery.leave(record); end
	for _, name in ipairs{ "message", "presence", "iq" } do
		module:hook(name .. "/bare", router.to_contact, -1);
		module:hook(name .. "/full", router.to_contact, -1);
		module:hook(name .. "/host", router.to_domain, -1);
	end
	module:add_timer(TICK, function ()
		if not host.book then return nil; end
		xpcall(tick, traceback, host, delivery, now()); -- a mistake in one round must not end all rounds
		return TICK;
	end);
	if options.admin_token then
		module:depends "http";
		module:provides("http", { default_path = "/shards"; route = control.routes(options.admin_token); });
	end
	settings.publish(module, host, sessions.connected);

	hosts[module.host] = {
		sessions = sessions, router = router, pump = delivery.pump, totals = host.totals, options = options,
		masters = options.masters, plain_secret = options.plain_secret,
	};

	local function close_book()
		if host.book then host.book:close(now()); end
		host.book = nil;
	end
	module:hook_global("server-stopped", close_book);
	function module.unload()
		streams.close_all({ condition = "reset" }, module.host);
		hosts[module.host] = nil;
		close_book();
	end
end

module:hook("server-stopping", function ()
	local closed = streams.close_all{ condition = "system-shutdown" };
	if closed > 0 and async.ready() then
		-- The server drops what is still to be written when it ends: give the streams' last words a moment.
		local wait, done = async.waiter();
		module:add_timer(LAST_WORDS, function () done(); end);
		wait();
	end
end, 1);

function module.unload()
	streams.close_all{ condition = "reset" };
end

module:provides("net", {
	name = "component_shards"; private = true; default_port = 5348; listener = streams.listener;
});
module:provides("net", {
	name = "component_shards_tls"; encryption = "ssl"; listener = streams.listener;
	default_ports = {}; -- off unless component_shards_tls_ports says where
});
