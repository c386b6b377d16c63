-- Assign, release, status, purge; by iq and over HTTP.
local support = dofile "tests/lua/support.lua";
local stanza = support.stanza;
local json = require "util.json";

local ALICE = "alice@example.test";
local function written(wire) return table.concat(wire.out); end

describe("assign", function ()
	it("makes stanzas wait for a shard that was never there", function ()
		local world = support.world();
		assert.equal(8, world.control.act("assign", "Alice@example.test", 8).epoch);
		world.message("m1");
		world.crash();
		local wire = world.connect{ epoch = 8, instance = "pod" };
		assert.same({ "m1" }, support.bodies(wire));
	end);
	it("fences the lower epoch, also the connected one", function ()
		local world = support.world();
		local wire = world.connect{ epoch = 7 };
		world.control.act("assign", ALICE, 8);
		assert.equal("conflict", wire.closed.condition);
		assert.equal("conflict", world.connect{ epoch = 7 }.closed.condition);
		assert.is_nil(world.connect{ epoch = 8 }.closed);
	end);
	it("may be repeated without harm to the shard", function ()
		local world = support.world();
		local wire = world.connect{ epoch = 7, instance = "pod" };
		world.control.act("assign", ALICE, 7);
		assert.is_nil(wire.closed);
		assert.equal("pod", world.book.by_owner[ALICE].instance);
	end);
	it("refuses a lower epoch and leaves nothing behind", function ()
		local world = support.world();
		world.control.act("assign", ALICE, 7);
		assert.same({ nil, "conflict" }, { world.control.act("assign", ALICE, 6) });
		assert.same({ nil, "bad-request" }, { world.control.act("assign", "new@example.test", 0) });
		assert.same({ nil, "bad-request" }, { world.control.act("assign", "new@example.test", nil) });
		assert.is_nil(world.book.by_owner["new@example.test"]);
	end);
	it("says when it cannot be kept", function ()
		local world = support.world();
		world.disk.room = 3;
		assert.same({ nil, "resource-constraint" }, { world.control.act("assign", ALICE, 7) });
	end);
end);

describe("release", function ()
	it("ends the stream, bounces what waits, keeps the fence", function ()
		local world = support.world();
		local wire = world.connect{ epoch = 7 };
		for n = 1, 6 do world.message("m" .. n); end
		local state = world.control.act("release", ALICE);
		assert.same({ condition = "reset", text = "released" }, wire.closed);
		assert.same({ true, 0, 0, 7 }, { state.released, state.waiting, state.unacked, state.epoch });
		assert.equal(6, #world.sent);
		assert.matches("may have been delivered", (select(3, world.sent[1]:get_error())));
		assert.matches("nothing was delivered", (select(3, world.sent[6]:get_error())));
		assert.equal(6, world.host.totals.bounced_released + world.host.totals.bounced_unacknowledged);
		world.crash();
		assert.equal("conflict", world.connect{ epoch = 7 }.closed.condition);
		assert.is_nil(world.connect{ epoch = 8 }.closed);
	end);
	it("is not found twice", function ()
		local world = support.world();
		world.connect();
		world.control.act("release", ALICE);
		assert.same({ nil, "item-not-found" }, { world.control.act("release", ALICE) });
		assert.same({ nil, "item-not-found" }, { world.control.act("release", "nobody@example.test") });
	end);
	it("goes on with the numbers for the next shard", function ()
		local world = support.world();
		world.connect{ epoch = 1 };
		for n = 1, 3 do world.message("m" .. n); end
		world.control.act("release", ALICE);
		assert.matches("next='4'", written(world.connect{ epoch = 2 }));
	end);
end);

describe("purge", function ()
	it("forgets the fence, with or without a release before", function ()
		for _, first in ipairs{ "release", "status" } do
			local world = support.world();
			world.connect{ epoch = 7 };
			world.control.act(first, ALICE);
			assert.is_truthy(world.control.act("purge", ALICE));
			assert.same({ nil, "item-not-found" }, { world.control.act("purge", ALICE) });
			world.crash();
			assert.is_nil(world.connect{ epoch = 1 }.closed);
		end
	end);
end);

describe("a control iq", function ()
	local function iq(world, kind, attributes)
		return world.control.iq(stanza(("<iq type='%s' id='1' from='wa.test' to='wa.test'>"
			.. "<shard xmlns='urn:component-shards:1' %s/></iq>"):format(kind, attributes)));
	end
	it("tells the status", function ()
		local world = support.world();
		world.connect{ epoch = 7 };
		world.message("m1");
		local shard = iq(world, "get", "owner='alice@example.test' action='status'").tags[1];
		assert.same({ xmlns = "urn:component-shards:1", owner = ALICE, epoch = "7", connected = "true", waiting = "0",
			unacked = "1", seq = "0", released = "false" }, shard.attr);
	end);
	local ERRORS = {
		{ "get", "owner='alice@example.test' action='status'", "cancel", "item-not-found" },
		{ "get", "owner='alice@example.test' action='release'", "modify", "bad-request" },
		{ "set", "owner='alice@example.test' action='status'", "modify", "bad-request" },
		{ "set", "owner='alice@example.test' action='dance'", "modify", "bad-request" },
		{ "set", "action='assign' epoch='1'", "modify", "bad-request" },
		{ "set", "owner='alice@example.test/r' action='assign' epoch='1'", "modify", "bad-request" },
		{ "set", "owner='example.test' action='assign' epoch='1'", "modify", "bad-request" },
		{ "set", "owner='alice@example.test' action='assign' epoch='x'", "modify", "bad-request" },
		{ "set", "owner='bob@example.test' action='assign' epoch='3'", "cancel", "conflict" },
	};
	for i, case in ipairs(ERRORS) do
		it(("answers case %d with %s"):format(i, case[4]), function ()
			local world = support.world();
			world.control.act("assign", "bob@example.test", 5);
			local error_type, condition = iq(world, case[1], case[2]):get_error();
			assert.same({ case[3], case[4] }, { error_type, condition });
		end);
	end
end);

describe("the HTTP view", function ()
	local function call(world, route, path, body, token, query)
		local event = { request = { headers = { authorization = token or "Bearer secret" }, body = body, url = { query = query } },
			response = { headers = {} } };
		local answer = world.control.routes("secret")[route](event, path);
		if type(answer) == "number" then return answer; end
		return event.response.status_code, json.decode(answer), answer;
	end

	it("wants the token, at every door", function ()
		local world = support.world();
		for route in pairs(world.control.routes("secret")) do
			assert.equal(401, (call(world, route, "x", "{}", "Bearer wrong")));
			assert.equal(401, (call(world, route, "x", "{}", "")));
		end
	end);
	it("lists shards in pages, without the released ones", function ()
		local world = support.world();
		for n = 1, 7 do world.control.act("assign", ("u%d@example.test"):format(n), n); end
		world.control.act("release", "u3@example.test");
		local seen, after = {}, 0;
		repeat
			local _, page = call(world, "GET", nil, nil, nil, "limit=2&after=" .. after);
			for _, shard in ipairs(page.shards) do seen[#seen + 1] = shard.owner:match("u%d"); end
			assert.is_true(#page.shards <= 2);
			after = page.next;
		until not after;
		assert.same({ "u1", "u2", "u4", "u5", "u6", "u7" }, seen);
	end);
	it("shows the whole at a glance", function ()
		local world = support.world();
		world.connect();
		world.message("m1");
		local code, view = call(world, "GET");
		assert.same({ 200, "wa.test", 1, "gen1", 1 }, { code, view.domain, view.connected, view.gen, view.stanzas });
		assert.is_false(view.gateway.connected);
		assert.equal(1, view.totals.routed_in);
	end);
	it("names a shard by an id that shows nothing", function ()
		local world = support.world();
		world.connect();
		local _, view = call(world, "GET");
		local id = view.shards[1].id;
		assert.matches("^%x+$", id);
		local code, shard = call(world, "GET /*", id);
		assert.same({ 200, ALICE }, { code, shard.owner });
		code, shard = call(world, "GET /*", "0123456789abcdef");
		assert.same({ 404, { error = "item-not-found" } }, { code, shard });
	end);
	it("finds a shard by its id right after a restart", function ()
		local world = support.world();
		world.connect();
		local id = world.control.act("status", ALICE).id;
		world.crash();
		assert.equal(200, (call(world, "GET /*", id)));
	end);
	it("controls by the owner in the body", function ()
		local world = support.world();
		local code, state = call(world, "POST", nil, json.encode{ action = "assign", owner = ALICE, epoch = 8 });
		assert.same({ 200, 8 }, { code, state.epoch });
		code, state = call(world, "POST", nil, json.encode{ action = "assign", owner = ALICE, epoch = 7 });
		assert.same({ 409, "conflict" }, { code, state.error });
		assert.equal(400, (call(world, "POST", nil, json.encode{ action = "assign", owner = ALICE, epoch = 1.5 })));
		assert.equal(400, (call(world, "POST", nil, json.encode{ action = "assign", owner = 5, epoch = 1 })));
		for _, body in ipairs{ "", "{", "[1]", "5", "null" } do assert.equal(400, (call(world, "POST", nil, body))); end
	end);
	it("controls by the id", function ()
		local world = support.world();
		world.connect();
		local id = world.control.act("status", ALICE).id;
		assert.equal(200, (call(world, "POST /*", id, json.encode{ action = "assign", epoch = 9 })));
		assert.equal(204, (call(world, "DELETE /*", id)));
		assert.equal(404, (call(world, "DELETE /*", id)));
		assert.equal(200, (call(world, "POST /*", id, json.encode{ action = "purge" })));
		assert.equal(404, (call(world, "POST /*", id, json.encode{ action = "status" })));
	end);
	it("does not offer the front desk as an owner", function ()
		local world = support.world();
		world.connect{ role = "gateway", owner = "" };
		world.host.name_of(world.book.by_owner[""]);
		assert.equal(404, (call(world, "DELETE /*", world.book.by_owner[""].name)));
	end);
	it("forbids caching", function ()
		local world = support.world();
		local event = { request = { headers = { authorization = "Bearer secret" }, url = {} }, response = { headers = {} } };
		world.control.routes("secret").GET(event);
		assert.equal("no-store", event.response.headers.cache_control);
	end);
end);
