-- Who a component stream says it is (stream header), and the proof (derived secrets, XEP-0114 handshake).
-- Pure; called by streams.lib.lua and by whoever needs an owner's opaque id. Wire format: README.md, "Stream".
local hashes = require "util.hashes";
local jid = require "util.jid";

local xmlns = "urn:component-shards:1";
local MAX_INSTANCE = 64; -- characters; a pod's UID has 36
local MAX_DIGITS = 15; -- decimal digits of an epoch or number: exact in a double, for servers that have only those

local function attribute(attr, name)
	return attr[xmlns .. "\1" .. name];
end

-- A decimal integer of at most 15 digits, or nil.
local function integer(text)
	if type(text) == "string" and #text <= MAX_DIGITS and text:match("^%d+$") then
		return math.tointeger(tonumber(text));
	end
end

local function refuse(condition, text)
	return nil, condition, text;
end

-- The claim of a stream header's attributes (as util.xmppstream gives them):
-- { role, owner, epoch, instance, acks, cursor_gen, cursor_n }; owner is "" for the front desk.
-- Or nil, a stream error condition and a text for the log of whoever connects.
local function claim(attr)
	local role = attribute(attr, "role") or (attr.from and "shard" or "gateway");
	if role ~= "shard" and role ~= "gateway" then
		return refuse("bad-format", "unknown role");
	end
	local owner = "";
	if role == "shard" then
		local node, host, resource = jid.prepped_split(attr.from);
		if not node or not host or resource then
			return refuse("improper-addressing", "'from' must be the owner's bare JID");
		end
		owner = node .. "@" .. host;
	end
	local epoch = attribute(attr, "epoch");
	if epoch ~= nil or role == "shard" then
		epoch = integer(epoch);
		if not epoch or (role == "shard" and epoch < 1) then
			return refuse("bad-format", "epoch must be a decimal integer of at most 15 digits, 1 or more");
		end
	end
	local instance = attribute(attr, "instance") or "";
	if #instance > MAX_INSTANCE then
		return refuse("bad-format", "instance is longer than 64 characters");
	end
	local cursor_gen, cursor_n;
	local cursor = attribute(attr, "cursor");
	if cursor then
		cursor_gen, cursor_n = cursor:match("^(.*):(%d+)$");
		cursor_n = integer(cursor_n);
		if not cursor_n then
			return refuse("bad-format", "cursor must be generation:number");
		end
	end
	return {
		role = role, owner = owner, epoch = epoch or 0, instance = instance,
		acks = attribute(attr, "acks") == "1", cursor_gen = cursor_gen, cursor_n = cursor_n,
	};
end

-- The secret of one stream: domain, role, owner and epoch are bound, so a stolen one dies at the next hand-over.
local function derive(master, domain, role, owner, epoch)
	local message = table.concat({ xmlns, domain, role, owner, ("%d"):format(epoch) }, "\n");
	return hashes.hmac_sha256(master, message, true);
end

-- What the client sends in <handshake/> (XEP-0114).
local function token(stream_id, secret)
	return hashes.sha1(stream_id .. secret, true);
end

-- How the stream proved its claim: "derived", "plain" (the front desk's component_secret), or nil.
-- masters: list of master secrets that count now (the current one, and the previous one while rotating).
local function verify(given, who, domain, stream_id, masters, plain)
	given = given:lower();
	local proof;
	for _, master in ipairs(masters) do
		local secret = derive(master, domain, who.role, who.owner, who.epoch);
		if hashes.equals(given, token(stream_id, secret)) then proof = "derived"; end
	end
	if plain and who.role == "gateway" and hashes.equals(given, token(stream_id, plain)) then
		proof = proof or "plain";
	end
	return proof;
end

-- The name of an owner in logs, URLs and metrics: keyed, so that a reader of logs cannot try JIDs.
local function opaque(key, domain, owner)
	return hashes.hmac_sha256(key, xmlns .. "#id\n" .. domain .. "\n" .. owner, true):sub(1, 16);
end

return {
	xmlns = xmlns;
	claim = claim;
	derive = derive;
	integer = integer;
	opaque = opaque;
	token = token;
	verify = verify;
};
