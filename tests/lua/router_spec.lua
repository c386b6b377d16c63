-- Which stream gets what, and what becomes of what a stream sends.
local support = dofile "tests/lua/support.lua";
local stanza = support.stanza;

local ALICE, BOB = "alice@example.test", "bob@example.test";
local SEQ = "<seq xmlns='urn:component-shards:1' n='%d'/>";

local function written(wire) return table.concat(wire.out); end
local function desk(world) return world.connect{ role = "gateway", owner = "", acks = false, epoch = 0 }; end
local function take(world, wire, text) world.router.take(wire.session, stanza(text)); end

describe("routing by sender", function ()
	it("takes the same contact of two owners to two shards", function ()
		local world = support.world();
		local alice, bob = world.connect(), world.connect{ owner = BOB };
		world.message("from alice", ALICE .. "/r", "room@wa.test/nick");
		world.message("from bob", BOB, "room@wa.test");
		assert.same({ { "from alice" }, { "from bob" } }, { support.bodies(alice), support.bodies(bob) });
	end);
	it("takes everybody else to the front desk", function ()
		local world = support.world();
		local front, alice = desk(world), world.connect();
		world.message("hi", "zoe@example.test/r");
		assert.same({ { "hi" }, {} }, { support.bodies(front), support.bodies(alice) });
	end);
	it("takes the bare domain to the front desk, whatever the shard's state", function ()
		local world = support.world();
		local front, alice = desk(world), world.connect();
		world.message("one", ALICE .. "/r", "wa.test");
		world.message("two", ALICE .. "/r", "wa.test/x");
		alice.session:close();
		world.message("three", ALICE .. "/r", "wa.test");
		assert.same({ "one", "two", "three" }, support.bodies(front));
		assert.same({}, support.bodies(alice));
	end);
	it("copies presence to the bare domain to the shard", function ()
		local world = support.world();
		local front, alice = desk(world), world.connect();
		world.arrive(("<presence from='%s/r' to='wa.test'><show>xa</show></presence>"):format(ALICE));
		for _, wire in ipairs{ front, alice } do assert.matches("<show>xa</show>", written(wire)); end
	end);
	it("bounces when the bridge is not running, and waits while it may be starting", function ()
		local world = support.world();
		world.message("early", "zoe@example.test/r", "wa.test");
		assert.equal(0, #world.sent);
		world.clock = world.clock + 31;
		world.message("late", "zoe@example.test/r", "wa.test");
		world.arrive "<presence from='zoe@example.test/r' to='wa.test'/>";
		assert.same({ 1, "late" }, { #world.sent, world.sent[1].attr.id });
		assert.same({ 1, 1 }, { world.host.totals.bounced_absent, world.host.totals.dropped });
	end);
	it("sends a released owner's stanzas to the front desk", function ()
		local world = support.world();
		local front = desk(world);
		world.connect();
		world.control.act("release", ALICE);
		world.message("hi");
		assert.same({ "hi" }, support.bodies(front));
	end);
end);

describe("private iq ids", function ()
	local function ask(world, wire, to, from)
		take(world, wire, ("<iq type='get' id='q1' from='%s' to='%s'><x xmlns='y'/></iq>"):format(from or "wa.test", to));
		return world.posted[#world.posted];
	end
	it("bring each shard its own answer of the same server, under its own id", function ()
		local world = support.world();
		local wires = { world.connect(), world.connect{ owner = BOB } };
		for index, wire in ipairs(wires) do
			local asked = ask(world, wire, "example.test");
			assert.not_equal("q1", asked.attr.id);
			world.arrive(("<iq type='result' id='%s' from='example.test' to='wa.test'><for%d/></iq>"):format(asked.attr.id, index));
		end
		for index, wire in ipairs(wires) do
			assert.matches("id='q1'", written(wire));
			assert.matches("<for" .. index .. "/>", written(wire));
			assert.is_nil(written(wire):find("<for" .. 3 - index, 1, true));
		end
	end);
	it("bring the owner's answer to what was asked from the bare domain to the shard, not to the front desk", function ()
		local world = support.world();
		local front, alice = desk(world), world.connect();
		local asked = ask(world, alice, ALICE .. "/r");
		world.arrive(("<iq type='result' id='%s' from='%s/r' to='wa.test'/>"):format(asked.attr.id, ALICE));
		assert.matches("<iq.-id='q1'", written(alice));
		assert.is_nil(written(front):find("<iq", 1, true));
	end);
	it("drop what comes late, twice, from others, or for an earlier epoch", function ()
		local world = support.world();
		local alice = world.connect();
		local id = ask(world, alice, "example.test").attr.id;
		world.arrive(("<iq type='result' id='%s' from='evil.test' to='wa.test'/>"):format(id));
		world.arrive(("<iq type='result' id='%s' from='example.test' to='wa.test'/>"):format(id));
		world.arrive(("<iq type='result' id='%s' from='example.test' to='wa.test'/>"):format(id));
		assert.equal(1, select(2, written(alice):gsub("<iq", "")));
		id = ask(world, alice, "example.test").attr.id;
		local next_one = world.connect{ epoch = 2 };
		world.arrive(("<iq type='result' id='%s' from='example.test' to='wa.test'/>"):format(id));
		assert.equal(1, select(2, written(next_one):gsub("<iq", ""))); -- the first answer, unacknowledged, again
		assert.equal(3, world.host.totals.dropped);
	end);
	it("leave the owner's other iq answers alone", function ()
		local world = support.world();
		local alice = world.connect();
		world.arrive(("<iq type='result' id='own' from='%s/r' to='c@wa.test'/>"):format(ALICE));
		assert.matches("id='own'", written(alice));
	end);
	it("give an upload slot the owner's own quota and bring the answer back", function ()
		local world = support.world();
		local alice = world.connect();
		take(world, alice, "<iq type='get' id='s1' from='wa.test' to='up.test'>"
			.. "<request xmlns='urn:xmpp:http:upload:0' filename='a' size='1'/></iq>");
		local asked = world.posted[1];
		assert.matches("^u%-%x+@wa%.test$", asked.attr.from);
		assert.equal(2 + 24 + #"@wa.test", #asked.attr.from);
		world.arrive(("<iq type='result' id='%s' from='up.test' to='%s'/>"):format(asked.attr.id, asked.attr.from));
		assert.matches("<iq[^>]*to='wa.test'", written(alice));
		world = support.world{ upload_as_owner = false };
		alice = world.connect();
		take(world, alice, "<iq type='get' id='s1' from='wa.test' to='up.test'>"
			.. "<request xmlns='urn:xmpp:http:upload:0' filename='a' size='1'/></iq>");
		assert.equal("wa.test", world.posted[1].attr.from);
	end);
end);

describe("what a shard sends", function ()
	it("is refused by name, with an error, and the stream stays up", function ()
		local world = support.world();
		local alice = world.connect();
		take(world, alice, "<message id='m' from='c@wa.test' to='bob@example.test'><body>x</body></message>");
		assert.equal(0, #world.posted);
		assert.matches("component shard rule: to", written(alice));
		assert.matches("<forbidden", written(alice));
		assert.is_nil(alice.closed);
		assert.same({ 1, 1 }, { world.host.totals.rejected, world.host.rules.to });
	end);
	it("is refused silently when it is an error or a result itself", function ()
		local world = support.world();
		local alice = world.connect();
		take(world, alice, "<iq type='result' id='m' from='c@wa.test' to='bob@example.test'/>");
		take(world, alice, "<message type='error' from='c@wa.test' to='bob@example.test'/>");
		take(world, alice, "<nonsense/>");
		assert.is_nil(written(alice):find("rule", 1, true));
		assert.equal(3, world.host.totals.rejected);
	end);
	it("shows no address in the log", function ()
		local world = support.world();
		take(world, world.connect(), "<message from='c@wa.test' to='bob@example.test'/>");
		local log = table.concat(world.logged, "\n");
		assert.matches("stanza_rejected shard=%x+ rule=to", log);
		assert.is_nil(log:find("@", 1, true));
	end);
	it("goes out once, however often it is repeated, across epochs and crashes", function ()
		local world = support.world();
		local text = ("<message from='c@wa.test' to='%s'><body>x</body>%s</message>"):format(ALICE, SEQ);
		local alice = world.connect{ epoch = 1 };
		take(world, alice, text:format(5));
		take(world, alice, text:format(5));
		take(world, alice, text:format(4));
		assert.equal(1, #world.posted);
		assert.is_nil(tostring(world.posted[1]):find("seq", 1, true));
		world.crash();
		alice = world.connect{ epoch = 2, instance = "other" };
		assert.matches("seq='5'", written(alice));
		take(world, alice, text:format(5));
		take(world, alice, text:format(6));
		assert.equal(2, #world.posted);
		assert.equal(1, world.host.totals.repeats);
	end);
	it("with a sequence that is no number is refused", function ()
		local world = support.world();
		local alice = world.connect();
		take(world, alice, ("<message from='c@wa.test' to='%s'><seq xmlns='urn:component-shards:1' n='-1'/></message>"):format(ALICE));
		assert.matches("rule: seq", written(alice));
		assert.equal(0, #world.posted);
	end);
	it("is repeated rather than lost when the server dies before it is noted", function ()
		local world = support.world();
		local text = ("<message from='c@wa.test' to='%s'>%s</message>"):format(ALICE, SEQ:format(1));
		world.on_post = function () error("killed"); end
		pcall(take, world, world.connect(), text);
		world.on_post = nil;
		world.crash();
		take(world, world.connect(), text);
		assert.equal(2, #world.posted);
	end);
	it("does no harm when routing it closes the stream", function ()
		local world = support.world();
		local alice = world.connect();
		world.on_post = function () alice.session:close(); end
		take(world, alice, ("<message from='c@wa.test' to='%s'/>"):format(ALICE));
		assert.equal(1, #world.posted);
	end);
end);

describe("what the server writes to a shard directly", function ()
	it("passes from the owner's side, with foreign contacts taken out", function ()
		local world = support.world();
		local alice = world.connect();
		world.router.direct(alice.session, stanza(("<iq type='result' id='1' from='%s' to='wa.test'><query xmlns='jabber:iq:roster'>"
			.. "<item jid='c@wa.test'/><item jid='%s'/></query></iq>"):format(ALICE, BOB)));
		assert.matches("c@wa.test", written(alice));
		assert.is_nil(written(alice):find(BOB, 1, true));
	end);
	it("is stopped from anybody else and counted", function ()
		local world = support.world();
		local alice = world.connect();
		world.router.direct(alice.session, stanza(("<presence from='%s/r' to='wa.test'/>"):format(BOB)));
		assert.is_nil(written(alice):find(BOB, 1, true));
		assert.equal(1, world.host.totals.leak_blocked);
	end);
	it("never brings another shard's answer", function ()
		local world = support.world();
		local alice, bob = world.connect(), world.connect{ owner = BOB };
		take(world, alice, "<iq type='get' id='q1' from='wa.test' to='example.test'><x xmlns='y'/></iq>");
		local id = world.posted[1].attr.id;
		world.router.direct(bob.session, stanza(("<iq type='result' id='%s' from='example.test' to='wa.test'/>"):format(id)));
		assert.is_nil(written(bob):find("<iq", 1, true));
	end);
end);

describe("what the front desk sends", function ()
	it("is trusted within the domain", function ()
		local world = support.world();
		local front = desk(world);
		take(world, front, "<message from='wa.test' to='Zoe@example.test'><body>x</body></message>");
		take(world, front, "<message to='zoe@example.test'><body>x</body></message>");
		assert.equal("zoe@example.test", world.posted[1].attr.to);
		assert.equal("wa.test", world.posted[2].attr.from);
		for _, text in ipairs{ "<message from='bob@example.test' to='zoe@example.test'/>", "<message from='wa.test'/>",
			"<message from='wa.test' to='a b@c'/>", "<nonsense/>" } do
			take(world, front, text);
		end
		assert.equal(2, #world.posted);
		assert.same({ from = 1, to = 2, ["not-a-stanza"] = 1 }, world.host.rules);
	end);
	it("is routed to the control plane when it is for us", function ()
		local world = support.world();
		local front = desk(world);
		take(world, front, "<iq type='set' id='1' from='wa.test' to='wa.test'>"
			.. "<shard xmlns='urn:component-shards:1' owner='alice@example.test' action='assign' epoch='8'/></iq>");
		assert.matches("<iq[^>]*type='result'", written(front));
		assert.equal(8, world.book.by_owner[ALICE].epoch);
		assert.equal(0, #world.posted);
	end);
	it("is no control when it comes from a shard", function ()
		local world = support.world();
		local alice = world.connect();
		take(world, alice, "<iq type='set' id='1' from='wa.test' to='wa.test'>"
			.. "<shard xmlns='urn:component-shards:1' owner='bob@example.test' action='release'/></iq>");
		assert.matches("rule: to", written(alice));
	end);
end);
