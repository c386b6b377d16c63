-- Who waits how long, and what comes back.
local support = dofile "tests/lua/support.lua";
local patience = support.lib "patience";
local stanza = support.stanza;

local STATE = "<composing xmlns='http://jabber.org/protocol/chatstates'/>";
local KINDS = {
	{ "keep", "<message><body>x</body></message>" },
	{ "keep", "<message><body>x</body>" .. STATE .. "</message>" },
	{ "keep", "<message>" .. STATE .. "<body>x</body></message>" },
	{ "keep", "<message><markable xmlns='urn:xmpp:chat-markers:0'/><body>x</body><request xmlns='urn:xmpp:receipts'/></message>" },
	{ "keep", "<message type='groupchat'><subject/></message>" },
	{ "keep", "<message><reactions xmlns='urn:xmpp:reactions:0' id='1'/></message>" },
	{ "keep", "<message><x xmlns='jabber:x:oob'/></message>" },
	{ "mute", "<message type='error'><body>x</body></message>" },
	{ "mute", "<message><received xmlns='urn:xmpp:receipts' id='1'/></message>" },
	{ "mute", "<message><displayed xmlns='urn:xmpp:chat-markers:0' id='1'/><store xmlns='urn:xmpp:hints'/></message>" },
	{ "mute", "<message><displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>" .. STATE .. "</message>" },
	{ "mute", "<message/>" },
	{ "fleeting", "<message>" .. STATE .. "<no-store xmlns='urn:xmpp:hints'/><thread>t</thread></message>" },
	{ "keep", "<presence type='subscribe'/>" },
	{ "keep", "<presence type='subscribed'/>" },
	{ "keep", "<presence type='unsubscribe'/>" },
	{ "keep", "<presence type='unsubscribed'/>" },
	{ "latest", "<presence/>" },
	{ "latest", "<presence type='unavailable'/>" },
	{ "latest", "<presence type='probe'/>" },
	{ "mute", "<presence type='error'/>" },
	{ "short", "<iq type='get'/>" },
	{ "short", "<iq type='set'/>" },
	{ "answer", "<iq type='result'/>" },
	{ "answer", "<iq type='error'/>" },
	{ "answer", "<iq type='nonsense'/>" },
};

describe("a stanza's kind", function ()
	for i, case in ipairs(KINDS) do
		it(("is %s in case %d"):format(case[1], i), function ()
			assert.equal(case[1], (patience.classify(stanza(case[2]))));
			assert.equal(case[1], patience.classify_text(case[2]));
		end);
	end
	it("is mute for a text that cannot be read", function ()
		assert.equal("mute", patience.classify_text("<message"));
	end);
end);

describe("only the newest waits", function ()
	local function key(text) return select(2, patience.classify(stanza(text))); end
	it("of presence, by from and to, probes apart", function ()
		assert.equal(key "<presence from='a' to='b'/>", key "<presence from='a' to='b' type='unavailable'/>");
		assert.not_equal(key "<presence from='a' to='b'/>", key "<presence from='a' to='c'/>");
		assert.not_equal(key "<presence from='a' to='b'/>", key "<presence from='c' to='b'/>");
		assert.not_equal(key "<presence from='a' to='b'/>", key "<presence from='a' to='b' type='probe'/>");
	end);
	it("of chat states, apart from presence", function ()
		assert.not_equal(key("<message from='a' to='b'>" .. STATE .. "</message>"), key "<presence from='a' to='b'/>");
	end);
	it("of nothing else", function ()
		assert.equal("", key "<message from='a' to='b'><body>x</body></message>");
		assert.equal("", key "<iq type='get' from='a' to='b'/>");
	end);
end);

describe("a delay stamp", function ()
	local function stamped(text, kind) return patience.stamped(stanza(text), kind, "wa.test", 1795445846.9); end
	local DELAY = "<delay xmlns='urn:xmpp:delay' from='wa.test' stamp='2026-11-23T14:57:26Z'/>";
	it("goes into what is kept, as its last child", function ()
		assert.equal("<message><body>x &amp; y</body>" .. DELAY .. "</message>",
			stamped("<message><body>x &amp; y</body></message>", "keep"));
	end);
	it("opens an empty element", function ()
		local text = stamped("<presence type='subscribe'/>", "keep");
		assert.equal("<presence type='subscribe'>" .. DELAY .. "</presence>", text);
	end);
	it("is not given twice", function ()
		local text = stamped("<message><delay xmlns='urn:xmpp:delay' stamp='2020-01-01T00:00:00Z'/></message>", "keep");
		assert.equal(1, select(2, text:gsub("<delay", "")));
	end);
	it("is not given to presence states and iqs", function ()
		assert.equal("<presence/>", stamped("<presence/>", "latest"));
		assert.equal("<iq type='get'/>", stamped("<iq type='get'/>", "short"));
	end);
end);

describe("a bounce", function ()
	local function bounce(text, reason) return patience.bounce_text(text, reason or "expired"); end
	local REASONS = { expired = "recipient-unavailable", unacknowledged = "recipient-unavailable",
		overflow = "resource-constraint", storage = "resource-constraint", absent = "recipient-unavailable",
		released = "recipient-unavailable" };
	for reason, condition in pairs(REASONS) do
		it("says why: " .. reason, function ()
			local reply = bounce("<message from='a@b/c' to='d@wa.test' id='7'><body>x</body></message>", reason);
			local error_type, got, text = reply:get_error();
			assert.same({ "wait", condition }, { error_type, got });
			assert.is_true(#text > 10);
			assert.same({ "a@b/c", "d@wa.test", "7", "error" },
				{ reply.attr.to, reply.attr.from, reply.attr.id, reply.attr.type });
		end);
	end
	it("goes to messages, subscriptions and requests only", function ()
		assert.is_truthy(bounce "<iq type='get' id='1' from='a' to='b'/>");
		assert.is_truthy(bounce "<presence type='subscribe' from='a' to='b'/>");
		for _, text in ipairs{ "<presence from='a' to='b'/>", "<message type='error' from='a' to='b'/>",
			"<iq type='result' id='1' from='a' to='b'/>", "<iq type='error' id='1' from='a' to='b'/>",
			"<message from='a' to='b'><received xmlns='urn:xmpp:receipts' id='1'/></message>",
			"<message from='a' to='b'>" .. STATE .. "</message>" } do
			assert.is_nil(bounce(text));
		end
	end);
	it("goes nowhere without a sender", function ()
		assert.is_nil(bounce "<message to='b'><body>x</body></message>");
	end);
	it("is nothing for a text that cannot be read", function ()
		assert.is_nil(bounce "<message");
	end);
end);
