-- Settings with their defaults, counters with their names: the tables that README.md explains.
-- Called by mod_component_shards.lua when the module or a component is loaded.
local prep = require "util.jid".prep;

local prefix = "component_shards_";
local MIN_TOKEN = 16; -- characters: who has it controls every shard

-- Numbers: [setting] = default. Ages in seconds, sizes in stanzas, bytes in bytes.
local NUMBERS = {
	queue_size = 500, queue_bytes = 4 * 1024 * 1024, -- per owner
	gateway_queue_size = 5000, gateway_queue_bytes = 32 * 1024 * 1024, -- the front desk answers for everybody
	domain_size = 500000, domain_bytes = 512 * 1024 * 1024, -- window and queue of all streams together
	queue_age = 900, iq_age = 15, startup_grace = 30,
	window = 256, window_bytes = 4 * 1024 * 1024, -- unacknowledged, per stream
	rate = 1000, burst = 2000, -- stanzas a second, and at once, per shard
	iq_table = 20000,
};

local COUNTERS = {
	"routed_in", "routed_out", "queued", "bounced_expired", "bounced_unacknowledged", "bounced_overflow",
	"bounced_storage", "bounced_absent", "bounced_released", "dropped", "rejected", "leak_blocked", "auth_failed",
	"fenced", "replaced", "redelivered", "repeats", "throttled", "acked", "storage_failed",
};

local function limits(module)
	return {
		size = module:get_option_number(prefix .. "stanza_size_limit", 262144); -- bytes
		elements = module:get_option_number(prefix .. "stanza_element_limit", 2000);
		handshake = module:get_option_number(prefix .. "handshake_timeout", 10); -- seconds
	};
end

local function prepared_set(list)
	local set = {};
	for _, name in ipairs(list or {}) do set[prep(name) or name] = true; end
	return set;
end

-- The settings of one component; a wrong one stops the load with a sentence.
local function host(module)
	local options = {};
	for name, default in pairs(NUMBERS) do
		local value = module:get_option_number(prefix .. name, default);
		if not value or value <= 0 then error(prefix .. name .. " must be a number above 0", 0); end
		options[name] = value;
	end
	options.storage = module:get_option_string(prefix .. "storage", "disk");
	if options.storage ~= "disk" and options.storage ~= "memory" then
		error(prefix .. "storage must be \"disk\" or \"memory\"", 0);
	end
	options.fsync = module:get_option_boolean(prefix .. "fsync", false);
	options.upload_as_owner = module:get_option_boolean(prefix .. "upload_as_owner", true);
	options.gateway_privileges = module:get_option_boolean(prefix .. "gateway_privileges", false);
	options.upload_hosts = prepared_set(module:get_option_array(prefix .. "upload_hosts", {}));
	options.admin_token = module:get_option_string(prefix .. "admin_token");
	if options.admin_token and #options.admin_token < MIN_TOKEN then
		error(prefix .. "admin_token must have at least " .. MIN_TOKEN .. " characters", 0);
	end
	options.plain_secret = module:get_option_string("component_secret");
	options.masters = {};
	for _, name in ipairs{ "master_secret", "previous_master_secret" } do
		options.masters[#options.masters + 1] = module:get_option_string(prefix .. name);
	end
	if options.plain_secret == "" or options.masters[1] == "" or options.masters[2] == "" then
		error("an empty secret lets everybody in: component_secret or " .. prefix .. "master_secret", 0);
	end
	if #options.masters == 0 and not options.plain_secret then
		error("set " .. prefix .. "master_secret: without it no stream can prove who it is", 0);
	end
	options.queue = { size = options.queue_size, bytes = options.queue_bytes };
	options.gateway = { size = options.gateway_queue_size, bytes = options.gateway_queue_bytes };
	return options;
end

local function totals()
	local all = {};
	for _, name in ipairs(COUNTERS) do all[name] = 0; end
	return all;
end

-- Counters are plain numbers on the way of a stanza; they reach Prosody's statistics when somebody reads those.
local function publish(module, context, connected)
	local counters, published, rules = {}, {}, {};
	for _, name in ipairs(COUNTERS) do
		counters[name] = module:metric("counter", name, "", "see README.md", {}):with_labels();
	end
	local rule_counter = module:metric("counter", "rejected_rule", "", "refused stanzas by rule", { "rule" });
	local gauges = {
		shards_connected = connected;
		shards_known = function ()
			local count = -1; -- the front desk's record is always there
			for _, record in pairs(context.book.by_id) do
				if not record.released then count = count + 1; end
			end
			return count;
		end;
		stanzas_waiting = function () return context.book.stanzas; end;
		bytes_waiting = function () return context.book.bytes; end;
		gateway_connected = function () return context.book.by_owner[""].session and 1 or 0; end;
		journal_bytes = function () return context.book.journal.size; end;
	};
	for name, read in pairs(gauges) do
		gauges[name] = { read = read, metric = module:metric("gauge", name, "", "see README.md", {}):with_labels() };
	end
	local function add(metric, name, value)
		metric:add(value - (published[name] or 0));
		published[name] = value;
	end
	module:hook_global("stats-update", function ()
		for name, metric in pairs(counters) do add(metric, name, context.totals[name]); end
		for rule, value in pairs(context.rules) do
			rules[rule] = rules[rule] or rule_counter:with_labels(rule);
			add(rules[rule], "rule " .. rule, value);
		end
		for _, gauge in pairs(gauges) do gauge.metric:set(gauge.read()); end
	end);
end

return { NUMBERS = NUMBERS; limits = limits; host = host; totals = totals; publish = publish; };
