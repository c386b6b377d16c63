-- What a shard may send, and what may reach it.
local support = dofile "tests/lua/support.lua";
local policy = support.lib "policy";
local secrets = support.lib "secrets";
local stanza = support.stanza;

local WHO = { owner = "alice@example.test", owner_host = "example.test", domain = "wa.test",
	uploads = { ["up.test"] = true } };

local function outbound(text) return policy.outbound(stanza(text), WHO); end

local function privileged(inner, to)
	return ("<message from='wa.test' to='%s'><privilege xmlns='urn:xmpp:privilege:2'><forwarded xmlns='urn:xmpp:forward:0'>"
		.. "%s</forwarded></privilege></message>"):format(to or "example.test", inner);
end

local function typed(from, to, more)
	return ("<message xmlns='jabber:client' from='%s' to='%s' type='chat'><body>x</body>%s</message>"):format(from, to,
		more or "");
end

local function as_owner(inner, to)
	return ("<iq type='set' id='1' from='wa.test' to='%s'><privileged_iq xmlns='urn:xmpp:privilege:2'>%s</privileged_iq></iq>")
		:format(to or "alice@example.test", inner);
end

local PUBSUB = "<pubsub xmlns='http://jabber.org/protocol/pubsub'/>";
local SLOT = "<request xmlns='urn:xmpp:http:upload:0' filename='a' size='1'/>";

local function inner_iq(attributes, payload, kind)
	return ("<iq xmlns='jabber:client' type='%s' id='2' %s>%s</iq>"):format(kind or "set", attributes, payload or PUBSUB);
end

local function roster(jid, to)
	return ("<iq type='set' id='1' from='wa.test' to='%s'><query xmlns='jabber:iq:roster'><item jid='%s'/></query></iq>")
		:format(to or "alice@example.test", jid);
end

local ALLOWED = {
	["a message to the owner"] = "<message from='c@wa.test' to='alice@example.test'><body>x</body></message>",
	["a message to one of the owner's clients"] = "<message from='c@wa.test/r' to='alice@example.test/phone'/>",
	["a message from the bare domain"] = "<message from='wa.test' to='alice@example.test'/>",
	["presence to the owner"] = "<presence from='c@wa.test' to='alice@example.test'/>",
	["an iq to the owner"] = "<iq type='get' id='1' from='c@wa.test' to='alice@example.test/phone'/>",
	["an iq to the owner's server"] = "<iq type='get' id='1' from='wa.test' to='example.test'/>",
	["an iq to the upload service"] = "<iq type='get' id='1' from='wa.test' to='up.test'>" .. SLOT .. "</iq>",
	["an iq answer"] = "<iq type='result' id='1' from='c@wa.test' to='alice@example.test/phone'/>",
	["a roster set with our contacts"] = roster("c@wa.test"),
	["a roster get"] = "<iq type='get' id='1' from='wa.test' to='alice@example.test'><query xmlns='jabber:iq:roster'/></iq>",
	["a message as the owner to a contact"] = privileged(typed("alice@example.test", "c@wa.test")),
	["a pubsub iq as the owner"] = as_owner(inner_iq("")),
	["an iq as the owner to itself"] = as_owner(inner_iq("to='alice@example.test'")),
	["an iq as the owner to its server"] = as_owner(inner_iq("to='example.test'")),
	["an iq as the owner that names the owner"] = as_owner(inner_iq("from='alice@example.test'")),
	["an upload slot as the owner"] = as_owner(inner_iq("to='up.test'", SLOT, "get")),
	["a spelling that is prepared first"] = "<message from='C@WA.test' to='Alice@Example.TEST/r'/>",
};

local REFUSED = {
	{ "not-a-stanza", "another element", "<stream from='wa.test' to='alice@example.test'/>" },
	{ "not-a-stanza", "a stanza of another namespace", "<message xmlns='x' from='wa.test' to='alice@example.test'/>" },
	{ "not-a-stanza", "an iq without id", "<iq type='get' from='wa.test' to='alice@example.test'/>" },
	{ "not-a-stanza", "an iq without type", "<iq id='1' from='wa.test' to='alice@example.test'/>" },
	{ "from", "a sender outside the domain", "<message from='bob@example.test' to='alice@example.test'/>" },
	{ "from", "a sender in a subdomain", "<message from='c@sub.wa.test' to='alice@example.test'/>" },
	{ "from", "a sender whose name only ends alike", "<message from='c@evilwa.test' to='alice@example.test'/>" },
	{ "from", "no sender", "<message to='alice@example.test'/>" },
	{ "from", "a sender that cannot be prepared", "<message from='a b@wa.test' to='alice@example.test'/>" },
	{ "to", "no address", "<message from='wa.test'/>" },
	{ "to", "another user", "<message from='c@wa.test' to='bob@example.test'/>" },
	{ "to", "another user whose name begins alike", "<message from='c@wa.test' to='alice@example.test.evil'/>" },
	{ "to", "another user's iq", "<iq type='get' id='1' from='c@wa.test' to='bob@example.test'/>" },
	{ "to", "a user of another server", "<message from='c@wa.test' to='alice@other.test'/>" },
	{ "to", "the own domain", "<message from='c@wa.test' to='wa.test'/>" },
	{ "to", "another contact", "<message from='c@wa.test' to='d@wa.test'/>" },
	{ "to", "another server's iq", "<iq type='get' id='1' from='wa.test' to='other.test'/>" },
	{ "to", "an ordinary message to the server", "<message from='wa.test' to='example.test'><body>x</body></message>" },
	{ "to", "presence to the server", "<presence from='wa.test' to='example.test'/>" },
	{ "to", "a message to the upload service", "<message from='wa.test' to='up.test'/>" },
	{ "to", "a resource of the server", "<iq type='get' id='1' from='wa.test' to='example.test/x'/>" },
	{ "privilege-shape", "a privilege element to the owner", privileged(typed("alice@example.test", "c@wa.test"), "alice@example.test") },
	{ "privilege-shape", "a privilege element in presence",
		"<presence from='wa.test' to='alice@example.test'><privilege xmlns='urn:xmpp:privilege:2'/></presence>" },
	{ "privilege-shape", "an older version of privileges",
		"<message from='wa.test' to='alice@example.test'><privilege xmlns='urn:xmpp:privilege:1'/></message>" },
	{ "privilege-shape", "two messages in one privilege",
		privileged(typed("alice@example.test", "c@wa.test") .. typed("bob@example.test", "c@wa.test")) },
	{ "privilege-shape", "nothing in a privilege", privileged("") },
	{ "privilege-shape", "a privilege in a privileged message",
		privileged(typed("alice@example.test", "c@wa.test", "<privilege xmlns='urn:xmpp:privilege:2'/>")) },
	{ "privilege-shape", "two privileges side by side", (privileged(typed("alice@example.test", "c@wa.test"))
		:gsub("</message>$", "<privilege xmlns='urn:xmpp:privilege:2'/></message>")) },
	{ "privilege-shape", "two iqs in one wrapper", as_owner(inner_iq("") .. inner_iq("")) },
	{ "privilege-shape", "a wrapped iq with two children", as_owner(inner_iq("", PUBSUB .. PUBSUB)) },
	{ "privilege-shape", "a wrapper to the server", as_owner(inner_iq(""), "example.test") },
	{ "privilege-shape", "a wrapper to one client", as_owner(inner_iq(""), "alice@example.test/phone") },
	{ "privilege-from", "a message as another user", privileged(typed("bob@example.test", "c@wa.test")) },
	{ "privilege-from", "a message as a client of the owner", privileged(typed("alice@example.test/x", "c@wa.test")) },
	{ "privilege-from", "a message as the owner in another spelling", privileged(typed("Alice@example.test", "c@wa.test")) },
	{ "privilege-from", "an iq as another user", as_owner(inner_iq("from='bob@example.test'")) },
	{ "privilege-to", "a message as the owner to another user", privileged(typed("alice@example.test", "bob@example.test")) },
	{ "privilege-to", "a message as the owner to the front desk", privileged(typed("alice@example.test", "wa.test")) },
	{ "privilege-to", "an iq as the owner to another user", as_owner(inner_iq("to='bob@example.test'")) },
	{ "privilege-to", "an iq as the owner to another server", as_owner(inner_iq("to='other.test'")) },
	{ "privilege-to", "something else than a slot as the owner to the upload service", as_owner(inner_iq("to='up.test'")) },
	{ "roster-item", "a foreign contact in the roster", roster("bob@example.test") },
	{ "roster-item", "a foreign contact in a set to the server", roster("bob@example.test", "example.test") },
	{ "roster-item", "a contact without address", "<iq type='set' id='1' from='wa.test' to='alice@example.test'>"
		.. "<query xmlns='jabber:iq:roster'><item/></query></iq>" },
	{ "roster-item", "a foreign contact set as the owner",
		as_owner(inner_iq("", "<query xmlns='jabber:iq:roster'><item jid='bob@example.test'/></query>")) },
	{ "privilege-shape", "an iq with a wrapper and another child",
		(as_owner(inner_iq("")):gsub("</iq>$", "<x xmlns='y'/></iq>")) },
};

describe("outbound, a shard may send", function ()
	for what, text in pairs(ALLOWED) do
		it(what, function () assert.is_nil(outbound(text)); end);
	end
	it("and what is checked is what is routed", function ()
		local sent = stanza "<message from='C@WA.test/R' to='Alice@Example.TEST/R'/>";
		assert.is_nil(policy.outbound(sent, WHO));
		assert.same({ from = "c@wa.test/R", to = "alice@example.test/R" }, sent.attr);
	end);
	it("and the inner address of a privileged message is prepared too", function ()
		local sent = stanza(privileged(typed("alice@example.test", "C@WA.TEST/R")));
		assert.is_nil(policy.outbound(sent, WHO));
		assert.equal("c@wa.test/R", sent.tags[1].tags[1].tags[1].attr.to);
	end);
end);

describe("outbound, a shard may not send", function ()
	for _, case in ipairs(REFUSED) do
		it(case[2] .. " (" .. case[1] .. ")", function () assert.equal(case[1], outbound(case[3])); end);
	end
end);

describe("inbound", function ()
	local function inbound(from)
		return policy.inbound(stanza(from and ("<iq type='result' id='1' from='%s'/>"):format(from) or "<iq/>"), WHO);
	end
	for _, from in ipairs{ "alice@example.test", "alice@example.test/phone", "example.test", "up.test", "wa.test", "c@wa.test",
		"c@wa.test/r" } do
		it("passes " .. from, function () assert.is_true(inbound(from)); end);
	end
	it("passes what has no sender", function () assert.is_true(inbound(nil)); end);
	for _, from in ipairs{ "bob@example.test", "bob@example.test/phone", "other.test", "alice@other.test", "alice@example.test.evil",
		"x@up.test", "evil.wa.test" } do
		it("stops " .. from, function () assert.is_false(inbound(from)); end);
	end
end);

describe("a roster result", function ()
	local ROSTER = "<query xmlns='jabber:iq:roster'><item jid='c@wa.test'/><item jid='bob@example.test'/><item/></query>";
	it("keeps our contacts only", function ()
		local result = policy.trim_roster(stanza("<iq type='result'>" .. ROSTER .. "</iq>"), "wa.test");
		assert.equal(1, #result.tags[1].tags);
		assert.equal("c@wa.test", result.tags[1].tags[1].attr.jid);
	end);
	it("keeps our contacts only when it answers a privileged iq", function ()
		local result = policy.trim_roster(stanza("<iq type='result'><privilege xmlns='urn:xmpp:privilege:2'>"
			.. "<forwarded xmlns='urn:xmpp:forward:0'><iq xmlns='jabber:client' type='result'>" .. ROSTER
			.. "</iq></forwarded></privilege></iq>"), "wa.test");
		assert.is_nil(tostring(result):find("bob", 1, true));
		assert.is_truthy(tostring(result):find("c@wa.test", 1, true));
	end);
	it("leaves everything else alone", function ()
		local text = "<iq type='result' id='1'><query xmlns='other'><item jid='bob@example.test'/></query></iq>";
		local before = tostring(stanza(text));
		assert.equal(before, tostring(policy.trim_roster(stanza(text), "wa.test")));
	end);
end);

describe("the advertisement of privileges", function ()
	it("gets its nested namespaces side by side and in order", function ()
		local advert = stanza("<message from='example.test' to='wa.test'><privilege xmlns='urn:xmpp:privilege:2'>"
			.. "<perm access='roster' type='both'/><perm access='iq'><namespace ns='b' type='both'><namespace ns='c' type='get'>"
			.. "<namespace ns='a' type='set'/></namespace></namespace></perm></privilege></message>");
		assert.is_true(policy.flatten_privileges(advert));
		local perm = advert.tags[1].tags[2];
		local found = {};
		for _, tag in ipairs(perm.tags) do
			assert.equal(0, #tag.tags);
			found[#found + 1] = tag.attr.ns .. "=" .. tag.attr.type;
		end
		assert.same({ "a=set", "b=both", "c=get" }, found);
		assert.equal("both", advert.tags[1].tags[1].attr.type);
	end);
	it("is told from other stanzas", function ()
		assert.is_false(policy.flatten_privileges(stanza "<message><body>x</body></message>"));
		assert.is_false(policy.flatten_privileges(stanza "<iq><privilege xmlns='urn:xmpp:privilege:2'/></iq>"));
	end);
end);

describe("a sequence number", function ()
	local function take(text)
		local message = stanza(text);
		local n, present = policy.take_seq(message, secrets.integer);
		return n, present, tostring(message);
	end
	local SEQ = "<seq xmlns='urn:component-shards:1' n='%s'/>";
	it("is taken out of the stanza", function ()
		local n, present, rest = take("<message><body>x</body>" .. SEQ:format(12) .. "</message>");
		assert.same({ 12, true }, { n, present });
		assert.equal("<message><body>x</body></message>", rest);
	end);
	it("is not there in most stanzas", function ()
		local n, present = take "<message><seq xmlns='other' n='1'/></message>";
		assert.same({ nil, false }, { n, present });
	end);
	it("must be a number", function ()
		local n, present, rest = take("<message>" .. SEQ:format("x") .. "</message>");
		assert.same({ nil, true }, { n, present });
		assert.equal("<message/>", rest);
	end);
end);
