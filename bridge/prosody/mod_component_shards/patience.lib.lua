-- How long a stanza may wait for its stream, and what its sender hears when it waited in vain.
-- Pure (util.stanza only); called by router.lib.lua when a stanza cannot be written at once.
local st = require "util.stanza";
local datetime = require "util.datetime";
local parse = require "util.xml".parse;

local xmlns_chatstates = "http://jabber.org/protocol/chatstates";

-- patience: which setting bounds the waiting; bounce: whether the sender gets an error; delay: whether it gets
-- an XEP-0203 stamp when it waited because the stream was away; newest: only the newest per from and to waits.
local KINDS = {
	keep = { patience = "queue_age", bounce = true, delay = true };
	mute = { patience = "queue_age", bounce = false, delay = true }; -- receipts, markers, errors: nobody resends them
	short = { patience = "iq_age", bounce = true };
	answer = { patience = "iq_age", bounce = false };
	latest = { patience = "queue_age", bounce = false, newest = true };
	fleeting = { patience = "iq_age", bounce = false, newest = true }; -- "is typing" is not true a minute later
};

local PRESENCE = { [""] = "latest", unavailable = "latest", probe = "latest", error = "mute" };
local IQ = { get = "short", set = "short", result = "answer", error = "answer" };
-- Children that make a message no news by itself: it may vanish without an error to its sender.
local QUIET = {
	["urn:xmpp:receipts"] = true, ["urn:xmpp:chat-markers:0"] = true, [xmlns_chatstates] = true,
	["urn:xmpp:hints"] = true, ["urn:xmpp:sid:0"] = true, ["urn:xmpp:delay"] = true,
};

local function message_kind(stanza)
	if stanza.attr.type == "error" then return "mute"; end
	local state, receipt = false, false;
	for _, tag in ipairs(stanza.tags) do
		local ns = tag.attr.xmlns;
		if tag.name ~= "thread" and not QUIET[ns] then return "keep"; end
		state = state or ns == xmlns_chatstates;
		receipt = receipt or ns == "urn:xmpp:receipts" or ns == "urn:xmpp:chat-markers:0";
	end
	return state and not receipt and "fleeting" or "mute";
end

-- The kind of a stanza (a key of KINDS), and the key under which only its newest waits ("" for all others).
local function classify(stanza)
	local attr = stanza.attr;
	local kind;
	if stanza.name == "message" then
		kind = message_kind(stanza);
	elseif stanza.name == "presence" then
		kind = PRESENCE[attr.type or ""] or "keep";
	else
		kind = IQ[attr.type] or "answer";
	end
	if not KINDS[kind].newest then return kind, ""; end
	local what = stanza.name == "message" and "m" or attr.type == "probe" and "q" or "p";
	return kind, what .. "\0" .. (attr.from or "") .. "\0" .. (attr.to or "");
end

-- The same for a stanza's text (what a window holds).
local function classify_text(xml)
	local stanza = parse(xml);
	return stanza and (classify(stanza)) or "mute";
end

-- The stanza's text, with a delay stamp for `at` (seconds) if its kind wants one and it has none.
local function stamped(stanza, kind, host, at)
	local xml = tostring(stanza);
	if not KINDS[kind].delay or stanza:get_child("delay", "urn:xmpp:delay") then return xml; end
	local delay = ("<delay xmlns='urn:xmpp:delay' from='%s' stamp='%s'/>"):format(
		st.xml_escape(host), datetime.datetime(math.floor(at)));
	if #stanza == 0 then
		return xml:sub(1, -3) .. ">" .. delay .. "</" .. stanza.name .. ">";
	end
	return xml:sub(1, -(#stanza.name + 4)) .. delay .. "</" .. stanza.name .. ">";
end

-- Why a stanza comes back: error type, condition, text. Who reads it is the sender.
local REASONS = {
	expired = { "wait", "recipient-unavailable", "The bridge did not come back in time; nothing was delivered." };
	unacknowledged = { "wait", "recipient-unavailable",
		"The bridge did not answer in time; this may have been delivered all the same." };
	overflow = { "wait", "resource-constraint", "Too much is waiting for the bridge already." };
	storage = { "wait", "resource-constraint", "The server cannot keep this for the bridge at the moment." };
	absent = { "wait", "recipient-unavailable", "The bridge is not running." };
	released = { "wait", "recipient-unavailable", "The link to the bridge was taken down; nothing was delivered." };
};

-- The error for a stanza that will not be delivered, or nil when its kind gets none.
local function bounce(stanza, reason)
	local kind = classify(stanza);
	if not KINDS[kind].bounce or not stanza.attr.from then return nil; end
	local error_type, condition, text = table.unpack(REASONS[reason]);
	return st.error_reply(stanza, error_type, condition, text);
end

-- The same for a stanza's text.
local function bounce_text(xml, reason)
	local stanza = parse(xml);
	return stanza and bounce(stanza, reason);
end

return {
	KINDS = KINDS; classify = classify; classify_text = classify_text; stamped = stamped;
	bounce = bounce; bounce_text = bounce_text;
};
