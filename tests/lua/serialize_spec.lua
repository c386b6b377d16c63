-- The module's own serialiser against Prosody's.
local support = dofile "tests/lua/support.lua";
local serialize = support.lib "serialize";
local st = require "util.stanza";

local NAMES = { "message", "body", "x", "error", "a-b", "stream:features" };
local NAMESPACES = { "jabber:client", "urn:xmpp:delay", "a'b", "http://x?y&z" };
local TEXTS = { "", "hello", "a < b & c > d", "'quoted' \"twice\"", "día ✓ 👍", ("long "):rep(200), "&amp;", "]]>" };
local KEYS = { "id", "to", "from", "type", "xml:lang" };

local function pick(list) return list[math.random(#list)]; end

local function random_element(depth)
	local attr = {};
	for _ = 1, math.random(0, 3) do attr[pick(KEYS)] = pick(TEXTS); end
	if math.random() < 0.5 then attr.xmlns = pick(NAMESPACES); end
	for _ = 1, math.random() < 0.2 and math.random(2) or 0 do attr["urn:n" .. math.random(3) .. "\1k"] = pick(TEXTS); end
	local element = st.stanza(pick(NAMES), attr);
	for _ = 1, math.random(0, depth > 0 and 4 or 0) do
		if math.random() < 0.4 then
			element:add_direct_child(pick(TEXTS));
		else
			element:add_direct_child(random_element(depth - 1));
		end
	end
	return element;
end

describe("the serialiser", function ()
	it("writes what Prosody's own writes, for any stanza", function ()
		math.randomseed(99);
		for _ = 1, 3000 do
			local stanza = random_element(math.random(0, 4));
			assert.equal(tostring(stanza), serialize(stanza));
		end
	end);
	it("leaves nothing of a longer stanza in a shorter one", function ()
		serialize(st.message({ to = "a", from = "b", id = "c" }, ("x"):rep(1000)));
		assert.equal("<iq/>", serialize(st.stanza("iq")));
	end);
	it("leaves out a namespace that the parent has already", function ()
		local stanza = st.message():tag("x", { xmlns = "y" }):tag("z", { xmlns = "y" });
		assert.equal("<message><x xmlns='y'><z/></x></message>", serialize(stanza));
	end);
end);
