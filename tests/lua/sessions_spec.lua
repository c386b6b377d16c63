-- Streams come, replace each other and go.
local support = dofile "tests/lua/support.lua";
local stanza = support.stanza;

local ALICE = "alice@example.test";
local function written(wire) return table.concat(wire.out); end

describe("fencing", function ()
	it("lets a higher epoch replace the lower one, which is told so", function ()
		local world = support.world();
		local old = world.connect{ epoch = 1, instance = "a" };
		local new = world.connect{ epoch = 2, instance = "b" };
		assert.same({ condition = "conflict", text = "Replaced by a new connection" }, old.closed);
		assert.is_nil(new.closed);
		assert.equal(new.session, world.book.by_owner[ALICE].session);
		assert.same({ 1, 1 }, { world.host.totals.replaced, world.sessions.connected() });
	end);
	it("refuses a lower epoch for good, also after kill -9", function ()
		local world = support.world();
		world.connect{ epoch = 5 }.session:close();
		world.crash();
		local wire = world.connect{ epoch = 4 };
		assert.equal("conflict", wire.closed.condition);
		assert.equal("", written(wire));
		assert.equal(1, world.host.totals.fenced);
	end);
	it("refuses a second instance of the same epoch while the first is there", function ()
		local world = support.world();
		local first = world.connect{ epoch = 1, instance = "a" };
		assert.equal("conflict", world.connect{ epoch = 1, instance = "b" }.closed.condition);
		assert.is_nil(first.closed);
		first.session:close();
		assert.is_nil(world.connect{ epoch = 1, instance = "b" }.closed);
	end);
	it("lets the same instance replace its own dead connection, and nothing is lost by it", function ()
		local world = support.world();
		local first = world.connect{ instance = "a" };
		world.message("m1");
		local again = world.connect{ instance = "a" };
		assert.equal("conflict", first.closed.condition);
		assert.same({ "m1" }, support.bodies(again));
		assert.equal(again.session, world.book.by_owner[ALICE].session);
	end);
	it("is on disk before the shard hears that it is in", function ()
		local world = support.world();
		world.book:step(math.huge, 0);
		world.disk.room = 4;
		local wire = world.connect{ epoch = 3 };
		assert.equal("internal-server-error", wire.closed.condition);
		assert.equal("", written(wire));
	end);
	it("holds for the front desk too", function ()
		local world = support.world();
		local old = world.connect{ role = "gateway", owner = "", epoch = 1 };
		local new = world.connect{ role = "gateway", owner = "", epoch = 2 };
		assert.equal("conflict", old.closed.condition);
		assert.is_nil(new.closed);
		world.crash();
		assert.equal("conflict", world.connect{ role = "gateway", owner = "", epoch = 1 }.closed.condition);
		assert.equal(0, world.sessions.connected());
	end);
end);

describe("privileges", function ()
	it("are offered to shards, and to the front desk only when it is configured", function ()
		local world = support.world();
		world.connect();
		world.connect{ role = "gateway", owner = "" };
		assert.same({ "component-authenticated" }, world.fired);
		world = support.world{ gateway_privileges = true };
		world.connect{ role = "gateway", owner = "" };
		assert.same({ "component-authenticated" }, world.fired);
	end);
	it("may close the stream without harm", function ()
		local world = support.world();
		world.on_fire = function (session) session:close{ condition = "policy-violation" }; end
		world.connect();
		assert.is_nil(world.book.by_owner[ALICE].session);
		assert.equal(0, world.sessions.connected());
	end);
end);

describe("the count of a stream's stanzas", function ()
	local function send(world, wire, count)
		for _ = 1, count do
			world.router.take(wire.session, stanza(("<message from='c@wa.test' to='%s'><body>x</body></message>"):format(ALICE)));
		end
	end
	it("goes on for the same instance and restarts with another", function ()
		local world = support.world();
		local wire = world.connect{ instance = "a" };
		send(world, wire, 3);
		wire.session:close();
		wire = world.connect{ instance = "a" };
		assert.matches(" h='3'", written(wire));
		wire.session:close();
		assert.matches(" h='0'", written(world.connect{ instance = "b" }));
	end);
	it("never goes back behind what was told, even in a crash", function ()
		local world = support.world();
		local wire = world.connect{ instance = "a" };
		send(world, wire, 3);
		assert.equal(3, world.sessions.count(wire.session));
		send(world, wire, 2);
		world.crash();
		local h = tonumber(written(world.connect{ instance = "a" }):match(" h='(%d+)'"));
		assert.is_true(h >= 3);
	end);
	it("counts refused stanzas and repeats too", function ()
		local world = support.world();
		local wire = world.connect();
		world.router.take(wire.session, stanza "<message from='c@wa.test' to='bob@example.test'/>");
		for _ = 1, 2 do
			world.router.take(wire.session, stanza(("<message from='c@wa.test' to='%s'>"
				.. "<seq xmlns='urn:component-shards:1' n='1'/></message>"):format(ALICE)));
		end
		assert.equal(3, world.sessions.count(wire.session));
	end);
end);

describe("a stream that goes", function ()
	it("leaves a record without stream and a time when the front desk was lost", function ()
		local world = support.world();
		local wire = world.connect{ role = "gateway", owner = "" };
		world.clock = 5000;
		wire.session:close();
		assert.equal(5000, world.host.gateway_lost);
	end);
	it("does not take its successor's record with it", function ()
		local world = support.world();
		local first = world.connect{ instance = "a" };
		local again = world.connect{ instance = "a" };
		world.sessions.detach(first.session);
		assert.equal(again.session, world.book.by_owner[ALICE].session);
		assert.equal(1, world.sessions.connected());
	end);
end);
