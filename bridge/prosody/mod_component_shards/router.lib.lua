-- Which stream a stanza goes to, and what a stream may send. Called by the event hooks (mod_component_shards.lua)
-- and by streams.lib.lua. host: as in delivery.lib.lua, and { ids, log, post, prep, uploads, rules, control_iq }.
--
-- A stanza goes to the shard of its FROM bare JID; the bare domain, and everybody without a shard, is the front
-- desk's. Private iq ids (private_ids.lib.lua) find their shard whoever answers.
local st = require "util.stanza";
local sha256 = require "util.hashes".sha256;

local STANZAS = { message = true, presence = true, iq = true };

return function (host, policy, private_ids, secrets, delivery)
	local book, totals, options, ids = host.book, host.totals, host.options, host.ids;
	local deliver = delivery.deliver;

	local function bare(jid)
		local slash = jid:find("/", 1, true);
		return slash and jid:sub(1, slash - 1) or jid;
	end

	-- The record of an owner who has (or is about to get) a shard.
	local function shard_of(from)
		local record = from and book.by_owner[bare(from)];
		if record and not record.released and record.owner ~= "" then return record; end
	end

	-- To the front desk; while it is away for long, its stanzas go back at once.
	local function to_gateway(stanza)
		local record = book.by_owner[""];
		local grace = host.now() - host.gateway_lost < options.startup_grace;
		if record.session or grace then return deliver(record, stanza); end
		return delivery.refuse(stanza, "absent");
	end

	-- An answer to a shard's iq: true when the id is one of ours (delivered, or dropped when nobody asked).
	local function to_asker(stanza, only)
		if stanza.name ~= "iq" then return false; end
		local ours, asked = private_ids.reveal(ids, stanza);
		if not ours then return false; end
		local record = asked and book.by_owner[asked.owner];
		if not record or record.epoch ~= asked.epoch or (only and record ~= only) then
			totals.dropped = totals.dropped + 1;
			return true;
		end
		totals.routed_in = totals.routed_in + 1;
		deliver(record, policy.trim_roster(stanza, host.domain));
		return true;
	end

	-- Event hook: a stanza to local@domain.
	local function to_contact(event)
		local stanza = event.stanza;
		local kind = stanza.attr.type;
		if (kind == "result" or kind == "error") and to_asker(stanza) then return true; end
		totals.routed_in = totals.routed_in + 1;
		local record = shard_of(stanza.attr.from);
		if record then deliver(record, stanza); else to_gateway(stanza); end
		return true;
	end

	-- Event hook: a stanza to the bare domain, always the front desk's; presence is copied to the shard.
	local function to_domain(event)
		local stanza = event.stanza;
		local kind = stanza.attr.type;
		if (kind == "result" or kind == "error") and to_asker(stanza) then return true; end
		totals.routed_in = totals.routed_in + 1;
		local record = stanza.name == "presence" and shard_of(stanza.attr.from);
		if record then deliver(record, stanza); end
		to_gateway(stanza);
		return true;
	end

	-- What the server writes to the stream itself (answers by origin.send, mod_privilege's advertisement).
	local function direct(session, stanza)
		local record = session.record;
		if record.owner == "" then return deliver(record, stanza); end
		if to_asker(stanza, record) then return; end
		if not policy.inbound(stanza, session.who) then
			totals.leak_blocked = totals.leak_blocked + 1;
			return;
		end
		if policy.flatten_privileges(stanza) and not session.live then
			return delivery.advertise(record, stanza);
		end
		return deliver(record, policy.trim_roster(stanza, host.domain));
	end

	-- Refuse a shard's stanza: the rule's name goes into the error, the log and the metric; the stream stays up.
	local function reject(session, stanza, rule)
		totals.rejected = totals.rejected + 1;
		host.rules[rule] = (host.rules[rule] or 0) + 1;
		host.log("warn", "stanza_rejected shard=%s rule=%s", host.name_of(session.record), rule);
		local kind = stanza.attr.type;
		if STANZAS[stanza.name] and not stanza.attr.xmlns and kind ~= "error" and kind ~= "result" then
			deliver(session.record, st.error_reply(stanza, "auth", "forbidden", "component shard rule: " .. rule));
		end
	end

	-- A shard's upload slot counts against a quota of its owner's own, not of the whole domain's.
	local function quota_jid(owner)
		return "u-" .. sha256(owner, true):sub(1, 24) .. "@" .. host.domain;
	end

	local function from_shard(session, stanza)
		local rule = policy.outbound(stanza, session.who);
		if rule then return reject(session, stanza, rule); end
		local attr = stanza.attr;
		if stanza.name == "iq" and (attr.type == "get" or attr.type == "set") then
			local from = attr.from;
			if options.upload_as_owner and host.uploads[attr.to] and stanza.tags[1]
				and stanza.tags[1].name == "request" then
				attr.from = quota_jid(session.who.owner);
			end
			private_ids.hide(ids, stanza, session.who.owner, session.record.epoch, from);
		end
		totals.routed_out = totals.routed_out + 1;
		host.post(session, stanza);
	end

	-- The front desk is trusted, within its domain.
	local function from_gateway(session, stanza)
		local attr = stanza.attr;
		if attr.xmlns or not STANZAS[stanza.name] then return reject(session, stanza, "not-a-stanza"); end
		if not attr.from then attr.from = host.domain; end
		if not policy.in_domain(attr.from, host.domain) then return reject(session, stanza, "from"); end
		local to = host.prep(attr.to);
		if not to then return reject(session, stanza, "to"); end
		attr.from, attr.to = host.prep(attr.from), to;
		if to == host.domain and stanza.name == "iq" and stanza:get_child("shard", secrets.xmlns) then
			return deliver(session.record, host.control_iq(stanza));
		end
		totals.routed_out = totals.routed_out + 1;
		host.post(session, stanza);
	end

	-- A stanza from a stream: count it, drop it if it came before, check it, route it. The count and the sequence
	-- number are written after it was routed: a kill -9 in between may repeat a stanza, never lose one.
	local function take(session, stanza)
		local record = session.record;
		local seq, numbered = policy.take_seq(stanza, secrets.integer);
		local highest = record.seq;
		if numbered and not seq then
			reject(session, stanza, "seq");
		elseif seq and seq <= highest then
			totals.repeats = totals.repeats + 1;
		else
			highest = seq or highest;
			(record.owner == "" and from_gateway or from_shard)(session, stanza);
		end
		if session.record ~= record then return; end -- routing it closed the stream
		book:commit("C", record, record.count + 1, highest);
		if seq then book:flush(); end
	end

	return { to_contact = to_contact; to_domain = to_domain; direct = direct; take = take; };
end
