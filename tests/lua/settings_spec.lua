-- Settings: defaults, prepared names, and what stops the load.
local support = dofile "tests/lua/support.lua";
local settings = support.lib "settings";

-- What settings.lib.lua asks of Prosody's module API.
local function module_with(given)
	local module = {};
	local function get(_, name, default)
		local value = given[name];
		if value == nil then return default; end
		return value;
	end
	module.get_option_string, module.get_option_boolean, module.get_option_array = get, get, get;
	function module:get_option_number(name, default) return tonumber((get(self, name, default))); end
	return module;
end

local function host(given)
	given.component_shards_master_secret = given.component_shards_master_secret or "master";
	return settings.host(module_with(given));
end

describe("settings", function ()
	it("have the defaults that README.md tells", function ()
		local options = host{};
		assert.same({ 500, 4194304, 900, 15, 256, 1000, 2000, 30, 20000 }, { options.queue.size, options.queue.bytes,
			options.queue_age, options.iq_age, options.window, options.rate, options.burst, options.startup_grace,
			options.iq_table });
		assert.same({ "disk", false, true, false }, { options.storage, options.fsync, options.upload_as_owner,
			options.gateway_privileges });
		assert.same({ 5000, 33554432 }, { options.gateway.size, options.gateway.bytes });
		assert.same({ size = 262144, elements = 2000, handshake = 10 }, settings.limits(module_with{}));
	end);
	it("name every default in README.md", function ()
		local file = assert(io.open "bridge/prosody/mod_component_shards/README.md");
		local text = file:read "a";
		file:close();
		for name in pairs(settings.NUMBERS) do
			assert.is_truthy(text:find("`" .. name .. "`", 1, true), name);
		end
		for name in pairs(settings.totals()) do
			assert.is_truthy(text:find("`" .. name .. "`", 1, true), name);
		end
	end);
	it("prepare the names of upload services", function ()
		assert.is_true(host{ component_shards_upload_hosts = { "Upload.Example.TEST" } }.upload_hosts["upload.example.test"]);
	end);
	it("keep the current master secret first", function ()
		local options = host{ component_shards_master_secret = "new", component_shards_previous_master_secret = "old" };
		assert.same({ "new", "old" }, options.masters);
	end);

	local REFUSED = {
		["a number that is none"] = { component_shards_window = "many" },
		["a number of 0"] = { component_shards_queue_size = 0 },
		["another storage"] = { component_shards_storage = "cloud" },
		["an empty master secret"] = { component_shards_master_secret = "" },
		["an empty plain secret"] = { component_secret = "" },
		["a short token"] = { component_shards_admin_token = ("x"):rep(15) },
	};
	for what, given in pairs(REFUSED) do
		it("refuse " .. what, function () assert.has_error(function () host(given); end); end);
	end
	it("refuse to run without any secret", function ()
		assert.has_error(function () settings.host(module_with{}); end);
		assert.is_table(settings.host(module_with{ component_secret = "plain" }));
	end);
end);

describe("counters", function ()
	it("reach Prosody's statistics as differences, when somebody reads them", function ()
		local metrics, read = {}, nil;
		local module = {};
		function module.metric(_, kind, name)
			local function labelled(_, label)
				local key = name .. (label and ("/" .. label) or "");
				metrics[key] = metrics[key] or 0;
				return {
					add = function (_, value) assert.equal("counter", kind); metrics[key] = metrics[key] + value; end;
					set = function (_, value) assert.equal("gauge", kind); metrics[key] = value; end;
				};
			end
			return { with_labels = labelled };
		end
		function module.hook_global(_, event, handler)
			assert.equal("stats-update", event);
			read = handler;
		end
		local world = support.world();
		settings.publish(module, world.host, world.sessions.connected);
		local wire = world.connect();
		world.message("m1");
		read();
		read();
		assert.same({ 1, 1, 1, 1, 0 }, { metrics.routed_in, metrics.shards_connected, metrics.shards_known,
			metrics.stanzas_waiting, metrics.gateway_connected });
		world.message("m2");
		world.router.take(wire.session, support.stanza "<message from='c@wa.test' to='bob@example.test'/>");
		read();
		assert.same({ 2, 1, 1 }, { metrics.routed_in, metrics.rejected, metrics["rejected_rule/to"] });
	end);
end);
