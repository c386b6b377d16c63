-- Isolation: what a shard may send, and what may reach it. mod_privilege grants rights per component, so without
-- these rules every shard could read every roster and speak as everybody. Pure; called by router.lib.lua for
-- each stanza. Addresses are prepared here and written back, so that what was checked is what is routed.
--
-- who: { owner, owner_host, domain, uploads = { [host] = true } }, all prepared.
local st = require "util.stanza";
local prepped_split = require "util.jid".prepped_split;
local xmlns = "urn:component-shards:1";

local xmlns_privilege = "urn:xmpp:privilege:2";
local xmlns_forward = "urn:xmpp:forward:0";
local xmlns_roster = "jabber:iq:roster";
local xmlns_upload = "urn:xmpp:http:upload:0";
local STANZAS = { message = true, presence = true, iq = true };
local IQ_TYPES = { get = true, set = true, result = true, error = true };

local function join(node, host, resource)
	local bare = node and (node .. "@" .. host) or host;
	return resource and (bare .. "/" .. resource) or bare;
end

-- The first privilege element among the children (any version of XEP-0356), or nil.
local function privilege_of(stanza)
	for _, tag in ipairs(stanza.tags) do
		local ns = tag.attr.xmlns;
		if ns and ns:sub(1, 19) == "urn:xmpp:privilege:" then return tag; end
	end
end

-- The only child element of `element` if it has this name and namespace, or nil.
local function only_child(element, name, ns)
	local tag = element.tags[1];
	if tag and #element.tags == 1 and tag.name == name and tag.attr.xmlns == ns then return tag; end
end

-- Whether `jid` is an address of the component; returns its prepared parts too.
local function in_domain(jid, domain)
	local node, host, resource = prepped_split(jid);
	if host == domain then return true, node, resource; end
end

local function foreign_roster_item(iq, who)
	local query = iq.attr.type == "set" and iq:get_child("query", xmlns_roster);
	if not query then return false; end
	for item in query:childtags("item") do
		if not in_domain(item.attr.jid, who.domain) then return true; end
	end
	return false;
end

-- A message typed on the phone, sent as the owner (XEP-0356 section "message").
local function privileged_message(stanza, who)
	local privilege = only_child(stanza, "privilege", xmlns_privilege);
	local forwarded = privilege and only_child(privilege, "forwarded", xmlns_forward);
	local inner = forwarded and only_child(forwarded, "message", "jabber:client");
	if not inner or privilege_of(inner) then return "privilege-shape"; end
	if inner.attr.from ~= who.owner then return "privilege-from"; end
	local inside, node, resource = in_domain(inner.attr.to, who.domain);
	-- Never to the bare domain: a shard must not command the front desk in its owner's name.
	if not inside or not node then return "privilege-to"; end
	inner.attr.to = join(node, who.domain, resource);
end

-- An iq sent as the owner: to itself, to its server, and for an upload slot to an upload service.
local function privileged_iq(stanza, who)
	local wrapper = only_child(stanza, "privileged_iq", xmlns_privilege);
	local inner = wrapper and only_child(wrapper, "iq", "jabber:client");
	if not inner or #inner.tags ~= 1 or privilege_of(inner) then return "privilege-shape"; end
	if inner.attr.from ~= nil and inner.attr.from ~= who.owner then return "privilege-from"; end
	local to = inner.attr.to;
	if to ~= nil and to ~= who.owner and to ~= who.owner_host then
		local request = inner.tags[1];
		local slot = request.name == "request" and request.attr.xmlns == xmlns_upload and inner.attr.type == "get";
		if not (slot and who.uploads[to]) then return "privilege-to"; end
	end
	-- Inside the wrapper the children still carry the client namespace.
	local query = inner.tags[1];
	if query.attr.xmlns == xmlns_roster and inner.attr.type == "set" and foreign_roster_item(inner, who) then
		return "roster-item";
	end
end

-- Which class of address a shard's stanza goes to: "owner", "host", "upload", or nil (not allowed).
local function destination(stanza, who)
	local node, host, resource = prepped_split(stanza.attr.to);
	if not host then return nil; end
	stanza.attr.to = join(node, host, resource);
	if node then
		return node .. "@" .. host == who.owner and (resource and "owner-full" or "owner") or nil;
	elseif resource then
		return nil;
	end
	return host == who.owner_host and "host" or who.uploads[host] and "upload" or nil;
end

-- Check a shard's stanza. Returns nil when it may go, or the name of the rule that it breaks.
local function outbound(stanza, who)
	local name, attr = stanza.name, stanza.attr;
	if attr.xmlns or not STANZAS[name] then return "not-a-stanza"; end
	if name == "iq" and not (IQ_TYPES[attr.type] and attr.id) then return "not-a-stanza"; end
	local inside, node, resource = in_domain(attr.from, who.domain);
	if not inside then return "from"; end
	attr.from = join(node, who.domain, resource);
	local class = destination(stanza, who);
	if not class then return "to"; end
	local privilege = privilege_of(stanza);
	if name == "message" and class == "host" and privilege then
		return privileged_message(stanza, who);
	elseif name == "iq" and class == "owner" and privilege then
		return privileged_iq(stanza, who);
	elseif privilege then
		return "privilege-shape";
	elseif class == "host" or class == "upload" then
		return name ~= "iq" and "to" or name == "iq" and foreign_roster_item(stanza, who) and "roster-item" or nil;
	elseif name == "iq" and foreign_roster_item(stanza, who) then
		return "roster-item";
	end
end

-- Check what would reach a shard: true when `from` is the owner, its host, an upload service, our own domain
-- or absent. (Routing goes by `from` anyway; this stops what the server writes to the stream directly.)
local function inbound(stanza, who)
	local from = stanza.attr.from;
	if not from or from == who.owner or from == who.owner_host then return true; end
	local slash = from:find("/", 1, true);
	local bare = slash and from:sub(1, slash - 1) or from;
	if bare == who.owner or who.uploads[bare] then return true; end
	local at = bare:find("@", 1, true);
	return (at and bare:sub(at + 1) or bare) == who.domain;
end

-- Take foreign contacts out of a roster result, also out of one that answers a privileged iq.
local function trim_roster(stanza, domain)
	for _, tag in ipairs(stanza.tags) do
		if tag.name == "query" and tag.attr.xmlns == xmlns_roster then
			tag:maptags(function (item)
				return item.name ~= "item" and item or in_domain(item.attr.jid, domain) and item or nil;
			end);
		elseif tag.attr.xmlns == xmlns_privilege or tag.attr.xmlns == xmlns_forward or tag.name == "iq" then
			trim_roster(tag, domain);
		end
	end
	return stanza;
end

-- COMPAT: mod_privilege (hg 2023-02) nests the <namespace/> elements of its advertisement into each other, in
-- random order; may go when the oldest supported prosody-modules has them side by side.
local function flatten_privileges(stanza)
	local privilege = stanza.name == "message" and stanza:get_child("privilege", xmlns_privilege);
	if not privilege then return false; end
	for _, perm in ipairs(privilege.tags) do
		local found = {};
		local function collect(element)
			for _, tag in ipairs(element.tags) do
				if tag.name == "namespace" then found[#found + 1] = tag; end
				collect(tag);
			end
		end
		collect(perm);
		table.sort(found, function (a, b) return (a.attr.ns or "") < (b.attr.ns or ""); end);
		perm:maptags(function () return nil; end);
		for _, tag in ipairs(found) do
			perm:add_direct_child(st.stanza("namespace", { ns = tag.attr.ns, type = tag.attr.type }));
		end
	end
	return true;
end

-- Take <seq n=''/> (README, "No repeats") out of a stanza; returns its number, or nil and whether one was there.
local function take_seq(stanza, integer)
	local tags = stanza.tags;
	for i = #tags, 1, -1 do
		local tag = tags[i];
		if tag.attr.xmlns == xmlns and tag.name == "seq" then
			stanza:maptags(function (child)
				return child ~= tag and child or nil;
			end);
			return integer(tag.attr.n), true;
		end
	end
	return nil, false;
end

return {
	outbound = outbound; inbound = inbound; trim_roster = trim_roster; flatten_privileges = flatten_privileges;
	take_seq = take_seq; in_domain = in_domain;
};
