-- From the server to a stream: window, queue, acknowledgements, bounces, fail-over. On a disk that crashes.
local support = dofile "tests/lua/support.lua";
local stanza = support.stanza;

local ALICE = "alice@example.test";

local function written(wire) return table.concat(wire.out); end
local function count(wire, what) return select(2, written(wire):gsub(what, "")); end
local function ack(world, wire, h) return world.sessions.acked(wire.session, tostring(h)); end

describe("a shard's stream", function ()
	it("begins with handshake, session and the privileges, then gets what is live", function ()
		local world = support.world{ window = 10 };
		world.on_fire = function (session)
			world.router.direct(session, stanza("<message from='example.test' to='wa.test'>"
				.. "<privilege xmlns='urn:xmpp:privilege:2'><perm access='roster' type='both'/></privilege></message>"));
		end
		local wire = world.connect();
		world.message("one");
		assert.matches("^<handshake/><session xmlns='urn:component%-shards:1' gen='gen1' next='1' h='0' seq='0'/>"
			.. "<message.-<privilege.-</message><message.-<body>one</body></message>$", written(wire));
		assert.equal(2, world.book.by_owner[ALICE].box.next - 1);
	end);

	it("gets nothing beyond its window until it acknowledges, in order then", function ()
		local world = support.world();
		local wire = world.connect();
		for n = 1, 10 do world.message("m" .. n); end
		assert.same({ "m1", "m2", "m3", "m4" }, support.bodies(wire));
		assert.is_true(ack(world, wire, 2));
		assert.same({ "m1", "m2", "m3", "m4", "m5", "m6" }, support.bodies(wire));
		assert.is_true(ack(world, wire, 6));
		assert.equal(10, #support.bodies(wire));
	end);

	it("is asked for an acknowledgement once, when half the window is out", function ()
		local world = support.world();
		local wire = world.connect();
		world.message("m1");
		assert.equal(0, count(wire, "<r xmlns"));
		for n = 2, 4 do world.message("m" .. n); end
		assert.equal(1, count(wire, "<r xmlns"));
		ack(world, wire, 4);
		for n = 5, 6 do world.message("m" .. n); end
		assert.equal(2, count(wire, "<r xmlns"));
	end);

	it("is held by bytes as well as by stanzas", function ()
		local world = support.world{ window = 100, window_bytes = 300 };
		local wire = world.connect();
		for n = 1, 5 do world.message(("x"):rep(100) .. n); end
		assert.equal(2, #support.bodies(wire));
		assert.equal(1, count(wire, "<r xmlns"));
		ack(world, wire, 2);
		assert.equal(4, #support.bodies(wire));
	end);

	it("may not acknowledge what it never got", function ()
		local world = support.world();
		local wire = world.connect();
		world.message("m1");
		assert.is_false(ack(world, wire, 2));
		assert.is_false(ack(world, wire, "x"));
		assert.is_false(world.sessions.acked(wire.session, nil));
		assert.is_true(ack(world, wire, 1));
		assert.is_true(ack(world, wire, 0));
	end);

	it("gets its window again under the old numbers, and not what its cursor covers", function ()
		local world = support.world();
		local first = world.connect();
		for n = 1, 4 do world.message("m" .. n); end
		ack(world, first, 1);
		first.session:close();
		local again = world.connect{ cursor_gen = "gen1", cursor_n = 3 };
		assert.same({ "m4" }, support.bodies(again));
		assert.matches("next='4'", written(again));
		assert.equal(1, world.host.totals.redelivered);
	end);

	it("gets everything again when its cursor is of another numbering", function ()
		local world = support.world();
		local first = world.connect();
		world.message("m1");
		first.session:close();
		assert.same({ "m1" }, support.bodies(world.connect{ cursor_gen = "other", cursor_n = 900 }));
	end);

	it("goes on with its client's numbers when its own were lost (a power cut)", function ()
		local world = support.world();
		local wire = world.connect();
		world.message("m1");
		wire.session:close();
		world.message("m2");
		wire = world.connect{ cursor_gen = "gen1", cursor_n = 7 };
		assert.is_nil(wire.closed);
		assert.matches("next='8'", written(wire));
		assert.same({ "m2" }, support.bodies(wire));
		assert.is_true(ack(world, wire, 8));
		assert.equal(0, world.book.stanzas);
		assert.matches("numbers_lost shard=%x+ count=6", table.concat(world.logged, "\n"));
	end);

	it("may name the number of its list of privileges right after kill -9", function ()
		local world = support.world();
		world.on_fire = function (session)
			world.router.direct(session, stanza("<message from='example.test' to='wa.test'>"
				.. "<privilege xmlns='urn:xmpp:privilege:2'/></message>"));
		end
		world.connect();
		world.crash();
		assert.equal(2, world.book.by_owner[ALICE].box.next);
	end);

	it("is asked at once when it comes back to a window that is half full", function ()
		local world = support.world();
		local wire = world.connect();
		for n = 1, 4 do world.message("m" .. n); end
		wire.session:close();
		assert.equal(1, count(world.connect(), "<r xmlns"));
	end);

	it("finds in order, stamped, what came while it was away", function ()
		local world = support.world();
		world.connect().session:close();
		for n = 1, 3 do world.message("m" .. n); end
		local wire = world.connect();
		assert.same({ "m1", "m2", "m3" }, support.bodies(wire));
		assert.equal(3, count(wire, "<delay xmlns='urn:xmpp:delay' from='wa.test'"));
		assert.equal(3, world.host.totals.queued);
	end);

	it("gets no delay stamp on what only waited for room", function ()
		local world = support.world();
		local wire = world.connect();
		for n = 1, 6 do world.message("m" .. n); end
		ack(world, wire, 4);
		assert.equal(6, #support.bodies(wire));
		assert.equal(0, count(wire, "<delay"));
	end);

	it("finds only the newest presence of each contact pair", function ()
		local world = support.world();
		world.connect().session:close();
		for _, show in ipairs{ "away", "dnd", "xa" } do
			world.arrive(("<presence from='%s/r' to='c@wa.test'><show>%s</show></presence>"):format(ALICE, show));
		end
		world.arrive(("<presence from='%s/r' to='d@wa.test'><show>chat</show></presence>"):format(ALICE));
		local wire = world.connect();
		assert.equal(2, count(wire, "<presence"));
		assert.equal(1, count(wire, "<show>xa"));
		assert.equal(1, count(wire, "<show>chat"));
	end);

	it("gets its list of privileges first when its window is full, and never two", function ()
		local world = support.world();
		world.on_fire = function (session)
			world.router.direct(session, stanza("<message from='example.test' to='wa.test'>"
				.. "<privilege xmlns='urn:xmpp:privilege:2'/></message>"));
		end
		local wire = world.connect();
		ack(world, wire, 1);
		for n = 1, 5 do world.message("m" .. n); end
		wire.session:close();
		wire = world.connect();
		wire.session:close();
		wire = world.connect();
		assert.equal(0, count(wire, "<privilege"));
		ack(world, wire, 4);
		assert.equal(1, count(wire, "<privilege"));
		assert.is_true(written(wire):find("<privilege", 1, true) > written(wire):find("m4", 1, true));
		assert.is_true(written(wire):find("<privilege", 1, true) < written(wire):find("m5", 1, true));
	end);

	it("gets a gap for the list of privileges of its former stream", function ()
		local world = support.world{ window = 10 };
		world.on_fire = function (session)
			world.router.direct(session, stanza("<message from='example.test' to='wa.test'>"
				.. "<privilege xmlns='urn:xmpp:privilege:2'/></message>"));
		end
		local wire = world.connect();
		world.message("m2");
		wire.session:close();
		wire = world.connect(); -- number 1 was the old list: skipped, it led
		assert.matches("next='2'", written(wire));
		assert.equal(0, count(wire, "<gap"));
		wire.session:close();
		wire = world.connect(); -- number 3 was the next list, behind m2
		assert.matches("next='2'.->m2<.-<gap xmlns='urn:component%-shards:1'/><message", written(wire));
	end);
end);

describe("what nobody takes", function ()
	it("comes back when it is over age, by its kind", function ()
		local world = support.world();
		world.connect().session:close();
		world.message("text");
		world.arrive(("<iq type='get' id='q' from='%s/r' to='c@wa.test'><x xmlns='y'/></iq>"):format(ALICE));
		world.arrive(("<presence from='%s/r' to='c@wa.test'/>"):format(ALICE));
		world.clock = world.clock + 14.9;
		world.delivery.expire(world.clock);
		assert.equal(0, #world.sent);
		world.clock = world.clock + 0.2;
		world.delivery.expire(world.clock);
		assert.same({ 1, "q" }, { #world.sent, world.sent[1].attr.id });
		world.clock = world.clock + 885;
		world.delivery.expire(world.clock);
		assert.same({ 2, "text" }, { #world.sent, world.sent[2].attr.id });
		assert.equal("recipient-unavailable", select(2, world.sent[2]:get_error()));
		assert.same({ 0, 0, 2, 1 }, { world.book.stanzas, world.book.bytes, world.host.totals.bounced_expired,
			world.host.totals.dropped });
	end);

	it("comes back from the window with a warning that it may have been delivered, only while no shard is there", function ()
		local world = support.world();
		local wire = world.connect();
		world.message("m1");
		world.clock = world.clock + 2000;
		world.delivery.expire(world.clock);
		assert.equal(0, #world.sent);
		wire.session:close();
		world.message("m2");
		world.delivery.expire(world.clock);
		assert.equal(1, #world.sent);
		assert.matches("may have been delivered", (select(3, world.sent[1]:get_error())));
		assert.same({ "m2" }, support.bodies(world.connect()));
	end);

	it("leaves a gap in the middle of a window", function ()
		local world = support.world();
		local wire = world.connect();
		world.message("m1");
		world.arrive(("<iq type='get' id='q' from='%s/r' to='c@wa.test'><x xmlns='y'/></iq>"):format(ALICE));
		world.message("m3");
		wire.session:close();
		world.clock = world.clock + 20;
		world.delivery.expire(world.clock);
		assert.equal(1, #world.sent);
		local again = world.connect();
		assert.matches("m1.-<gap xmlns='urn:component%-shards:1'/>.-m3", written(again));
		assert.matches("next='1'", written(again));
	end);

	it("comes back at once when too much waits for this owner, and others are not concerned", function ()
		local world = support.world{ queue = { size = 3, bytes = 1e6 } };
		world.connect().session:close();
		world.connect({ owner = "bob@example.test" }).session:close();
		for n = 1, 4 do world.message("m" .. n); end
		world.message("b1", "bob@example.test/r");
		assert.same({ 1, "m4" }, { #world.sent, world.sent[1].attr.id });
		assert.equal("resource-constraint", (select(2, world.sent[1]:get_error())));
		assert.equal(1, world.host.totals.bounced_overflow);
	end);

	it("comes back at once when too many bytes wait", function ()
		local world = support.world{ queue = { size = 100, bytes = 400 } };
		world.connect().session:close();
		for n = 1, 2 do world.message(("x"):rep(100) .. n); end
		assert.equal(1, #world.sent);
	end);

	it("comes back at once when too much waits in the whole domain, also beside an open window", function ()
		local world = support.world{ domain_size = 3 };
		world.connect({ owner = "bob@example.test" }).session:close();
		for n = 1, 2 do world.message("b" .. n, "bob@example.test/r"); end
		local wire = world.connect();
		for n = 1, 3 do world.message("m" .. n); end
		assert.same({ "m1" }, support.bodies(wire));
		assert.same({ "m2", "m3" }, { world.sent[1].attr.id, world.sent[2].attr.id });
		ack(world, wire, 1);
		world.message("m4");
		assert.same({ "m1", "m4" }, support.bodies(wire));
	end);

	it("comes back when the disk is full, and nothing is half taken", function ()
		local world = support.world();
		local wire = world.connect();
		world.disk.room = 5;
		world.message("m1");
		assert.equal(1, #world.sent);
		assert.equal(0, #support.bodies(wire));
		assert.equal(1, world.host.totals.bounced_storage);
		wire.session:close();
		world.message("m2");
		assert.equal(2, #world.sent);
		assert.equal(0, world.book.stanzas);
	end);

	it("is dropped and counted when its kind gets no error", function ()
		local world = support.world{ queue = { size = 0, bytes = 0 } };
		world.connect().session:close();
		world.arrive(("<message type='error' from='%s/r' to='c@wa.test'/>"):format(ALICE));
		assert.same({ 0, 1, 0 }, { #world.sent, world.host.totals.dropped, world.host.totals.bounced_overflow });
	end);
end);

describe("a stream without acks", function ()
	local function desk(world) return world.connect{ role = "gateway", owner = "", epoch = 0, acks = false }; end
	local function to_desk(world, body) return world.message(body, "zoe@example.test/r", "wa.test"); end

	it("gets what waited, once", function ()
		local world = support.world();
		to_desk(world, "m1");
		local wire = desk(world);
		to_desk(world, "m2");
		assert.same({ "m1", "m2" }, support.bodies(wire));
		wire.session:close();
		assert.same({}, support.bodies(desk(world)));
	end);
	it("waits itself when the connection does not drain", function ()
		local world = support.world();
		local wire = desk(world);
		for n = 1, 4 do to_desk(world, ("x"):rep(50000) .. n); end
		assert.equal(3, #support.bodies(wire));
		wire.session.pending = 0;
		world.delivery.pump(wire.session.record);
		assert.equal(4, #support.bodies(wire));
	end);
	it("gets what an earlier stream with acks left unacknowledged", function ()
		local world = support.world();
		local wire = world.connect{ role = "gateway", owner = "", epoch = 1, acks = true };
		for n = 1, 6 do to_desk(world, "m" .. n); end
		ack(world, wire, 1);
		wire.session:close();
		local plain = world.connect{ role = "gateway", owner = "", epoch = 1, acks = false };
		assert.same({ "m2", "m3", "m4", "m5", "m6" }, support.bodies(plain));
	end);
	it("that was connected before is missed for a while only", function ()
		local world = support.world();
		desk(world).session:close();
		to_desk(world, "m1");
		world.clock = world.clock + 31;
		to_desk(world, "m2");
		assert.same({ 1, "m2" }, { #world.sent, world.sent[1].attr.id });
		assert.same({ "m1" }, support.bodies(desk(world)));
	end);
end);

describe("after kill -9", function ()
	it("window, queue, numbers, counts and sequence are there", function ()
		local world = support.world();
		local wire = world.connect{ epoch = 7, instance = "i" };
		for n = 1, 6 do world.message("m" .. n); end
		ack(world, wire, 1);
		world.router.take(wire.session, stanza(("<message from='c@wa.test' to='%s'><body>x</body>"
			.. "<seq xmlns='urn:component-shards:1' n='9'/></message>"):format(ALICE)));
		world.crash();
		local again = world.connect{ epoch = 7, instance = "i", cursor_gen = "gen1", cursor_n = 2 };
		assert.same({ "m3", "m4", "m5", "m6" }, support.bodies(again));
		assert.matches("gen='gen1' next='3' h='1' seq='9'", written(again));
	end);

	it("nothing is lost or doubled for a shard that commits its cursor with the effect", function ()
		for seed = 1, 25 do
			math.randomseed(seed);
			local world = support.world{ window = math.random(2, 6), queue = { size = 40, bytes = 1e6 },
				queue_age = math.random(5, 60) };
			local sent, handled, bounced = 0, {}, {};
			local cursor_gen, cursor_n, wire, seen = nil, 0, nil, 0;
			world.connect{ epoch = 1 }.session:close(); -- from now on there is a shard to wait for
			-- The shard reads some of what it was sent; effect and cursor are one step.
			local function read(limit)
				local text = table.concat(wire.out):match("<session.*");
				local number = tonumber(text:match("next='(%d+)'")) - 1;
				local index = 0;
				for tag, rest in text:gmatch("<(%a+)( [^>]*)>") do
					if tag == "message" or tag == "gap" then
						number, index = number + 1, index + 1;
						if index > seen and limit > 0 then
							seen, limit, cursor_n = index, limit - 1, number;
							cursor_gen = world.book.gen;
							local id = rest:match("id='(.-)'");
							if tag == "message" and id then handled[#handled + 1] = id; end
						end
					end
				end
			end
			for _ = 1, 400 do
				local dice = math.random();
				world.clock = world.clock + math.random() * 0.5;
				if dice < 0.5 then
					sent = sent + 1;
					world.message(("m%d"):format(sent));
				elseif dice < 0.7 then
					if wire then read(math.random(3)); end
				elseif dice < 0.8 then
					if wire and cursor_n > 0 and cursor_n < world.book.by_owner[ALICE].box.next then ack(world, wire, cursor_n); end
				elseif dice < 0.9 then
					if wire then wire.session:close(); end
					wire, seen = world.connect{ instance = "i" .. sent, epoch = 1, cursor_gen = cursor_gen, cursor_n = cursor_n }, 0;
					assert.is_nil(wire.closed);
				elseif dice < 0.93 then
					if wire then wire.session:close(); end
					wire = nil;
				elseif dice < 0.96 then
					world.crash(math.random(0, 40));
					wire = nil;
				else
					world.delivery.expire(world.clock);
					if not world.book.snapshots then world.book:start_snapshots(); end
					world.book:step(math.random(2000), world.clock);
				end
			end
			if not wire then
				wire, seen = world.connect{ instance = "last", epoch = 1, cursor_gen = cursor_gen, cursor_n = cursor_n }, 0;
			end
			for _ = 1, 300 do
				read(100);
				if cursor_n > 0 then ack(world, wire, cursor_n); end
			end
			local warned = {};
			for _, reply in ipairs(world.sent) do
				local id = reply.attr.id;
				bounced[id] = (bounced[id] or 0) + 1;
				warned[id] = (select(3, reply:get_error())):find("may have been delivered", 1, true) ~= nil;
			end
			local times, last = {}, 0;
			for _, id in ipairs(handled) do
				times[id] = (times[id] or 0) + 1;
				local n = tonumber(id:sub(2));
				assert.is_true(n > last, ("seed %d: %s after m%d"):format(seed, id, last));
				last = n;
			end
			for n = 1, sent do
				local id = "m" .. n;
				local got, back = times[id] or 0, bounced[id] or 0;
				assert.is_true(got + back == 1 or (got == 1 and back == 1 and warned[id]),
					("seed %d: %s came %d times, back %d times"):format(seed, id, got, back));
			end
			assert.same({ 0, 0 }, { world.book.stanzas, world.book.bytes });
		end
	end);
end);
