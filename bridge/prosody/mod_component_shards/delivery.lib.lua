-- From the server to one stream: write at once, or let wait, or bounce. Called by router.lib.lua (what arrives)
-- and sessions.lib.lua (a stream opens, acknowledges, goes away).
--
-- host: { book, options, totals, domain, now, send } (mod_component_shards.lua). A stanza counts as taken when
-- `deliver` returns: by then it is written to the journal and flushed, so the sender's acknowledgement (XEP-0198)
-- cannot overtake it.
local PLAIN_BUFFER = 262144; -- bytes that a stream without acks may have unsent before its stanzas queue

return function (host, box_lib, patience, serialize)
	local book, options, totals = host.book, host.options, host.totals;
	local KINDS, unacked = patience.KINDS, box_lib.unacked;
	local waiting = {}; -- records that `expire` must look at

	-- Look at the record again at `at` (seconds) at the latest.
	local function remind(record, at)
		waiting[record] = true;
		if not record.deadline or at < record.deadline then record.deadline = at; end
	end

	local function refuse(stanza, reason)
		local reply = patience.bounce(stanza, reason);
		totals["bounced_" .. reason] = totals["bounced_" .. reason] + (reply and 1 or 0);
		if reply then host.send(reply); else totals.dropped = totals.dropped + 1; end
	end

	local function refuse_text(xml, reason)
		local reply = patience.bounce_text(xml, reason);
		totals["bounced_" .. reason] = totals["bounced_" .. reason] + (reply and 1 or 0);
		if reply then host.send(reply); else totals.dropped = totals.dropped + 1; end
	end

	local function domain_full(size)
		return book.stanzas >= options.domain_size or book.bytes + size > options.domain_bytes;
	end

	local function room(box)
		return unacked(box) < options.window and box.bytes < options.window_bytes;
	end

	-- Ask for an acknowledgement, once, when half the window is out.
	local function ask(session, box)
		if not session.asked and (unacked(box) * 2 >= options.window or box.bytes * 2 >= options.window_bytes) then
			session.asked = true;
			session.conn:write("<r xmlns='urn:xmpp:sm:3'/>");
		end
	end

	-- Put a stanza into the queue. Its kind matters when the stream is away; behind a full window it is found out
	-- only if the stanza ever gets over age.
	local function park(record, stanza)
		local box, now = record.box, host.now();
		local session = record.session;
		local kind, key = box_lib.UNKNOWN, "";
		local xml;
		if session and session.live then
			xml = serialize(stanza);
		else
			kind, key = patience.classify(stanza);
			local earlier = key ~= "" and box_lib.named(box, key);
			if earlier and book:commit("X", record, earlier) then totals.dropped = totals.dropped + 1; end
			xml = patience.stamped(stanza, kind, host.domain, now);
		end
		local limit = record.owner == "" and options.gateway or options.queue;
		if box.waiting >= limit.size or box.q_bytes + #xml > limit.bytes or domain_full(#xml) then
			return refuse(stanza, "overflow");
		end
		if not book:commit("Q", record, box_lib.tail(box), now, kind, key, xml) or not book:flush() then
			return refuse(stanza, "storage");
		end
		totals.queued = totals.queued + 1;
		remind(record, now + (KINDS[kind] and options[KINDS[kind].patience] or options.iq_age));
	end

	-- Give a stanza to a record's stream, now or later; what can be neither goes back to its sender.
	local function deliver(record, stanza)
		local session, box = record.session, record.box;
		stanza.attr.xmlns = nil;
		if session and session.live and box.waiting == 0 then
			if not session.acks then
				if session.pending < PLAIN_BUFFER then
					local xml = serialize(stanza);
					session.pending = session.pending + #xml;
					session.conn:write(xml);
					return;
				end
			elseif room(box) and not domain_full(0) then
				local xml = serialize(stanza);
				if not book:commit("W", record, host.now(), xml) then return refuse(stanza, "storage"); end
				book:flush(); -- if just this fails, the stanza still goes out; `commit` refuses the following ones
				session.conn:write(xml);
				return ask(session, box);
			end
		end
		return park(record, stanza);
	end

	-- Move as much of the queue into the window as it takes; returns the text to write.
	local function fill_window(record)
		local box = record.box;
		local free, bytes, count = options.window - unacked(box), options.window_bytes - box.bytes, 0;
		for _, xml in box_lib.entries(box) do
			if count >= free or bytes <= 0 then break; end
			count, bytes = count + 1, bytes - #xml;
		end
		local first = box.next;
		if count == 0 or not book:commit("M", record, count) then return ""; end
		book:flush(); -- the numbers are on disk before the client can name them
		return table.concat(box.xml, "", first, box.next - 1);
	end

	-- Take as much out of the queue as a stream without acks takes; returns the text to write.
	local function take_out(record)
		local session, box, batch = record.session, record.box, {};
		while box.waiting > 0 and session.pending < PLAIN_BUFFER do
			local xml = book:commit("X", record, box_lib.head(box));
			if not xml then break; end
			batch[#batch + 1] = xml;
			session.pending = session.pending + #xml;
		end
		return table.concat(batch);
	end

	-- Write what waits, as far as the window (or the buffer of a stream without acks) has room.
	local function pump(record)
		local session, box = record.session, record.box;
		if not (session and session.live) or box.waiting == 0 then return; end
		local text = session.acks and fill_window(record) or not session.acks and take_out(record) or "";
		if text == "" then return; end
		session.conn:write(text);
		if session.acks then ask(session, box); end
	end

	-- The server's list of privileges: the first stanza of a stream, ahead of what waits, never twice.
	local function advertise(record, stanza)
		local session, box = record.session, record.box;
		stanza.attr.xmlns = nil;
		local earlier = box_lib.named(box, "advert");
		if earlier then book:commit("X", record, earlier); end
		local xml, now = serialize(stanza), host.now();
		if not session.acks then
			session.conn:write(xml);
		elseif room(box) then
			record.advert = book:commit("W", record, now, xml);
			book:flush(); -- its number, too, is on disk before the client can name it
			if record.advert then session.conn:write(xml); end
		elseif book:commit("Q", record, box_lib.front(box), now, "mute", "advert", xml) then
			remind(record, now + options.queue_age);
		end
	end

	local function expire_queue(record, now, deadline, due)
		for position, xml, since, kind in box_lib.entries(record.box) do
			if kind == box_lib.UNKNOWN then
				kind = patience.classify_text(xml);
				box_lib.know(record.box, position, kind);
			end
			local at = since + options[KINDS[kind].patience];
			if at > now then
				if at < deadline then deadline = at; end
			elseif book:commit("X", record, position) then
				due[#due + 1] = { xml, "expired" };
			end
		end
		return deadline;
	end

	local function expire_window(record, now, deadline, due)
		local box = record.box;
		for n = box.first, box.next - 1 do
			local xml = box.xml[n];
			if xml then
				local at = box.at[n] + options[KINDS[patience.classify_text(xml)].patience];
				if at > now then
					if at < deadline then deadline = at; end
				elseif book:commit("G", record, n) then
					due[#due + 1] = { xml, "unacknowledged" };
				end
			end
		end
		return deadline;
	end

	-- Send stanzas back: { text, reason }. Call it when their removal is on disk, or a crash would do it twice.
	local function refuse_all(due)
		for _, one in ipairs(due) do refuse_text(one[1], one[2]); end
	end

	-- Bounce what has waited too long. Called every second; looks only at records that are due.
	local function expire(now)
		local due = {};
		for record in pairs(waiting) do
			if now >= (record.deadline or now) then
				local deadline = expire_queue(record, now, math.huge, due);
				if not record.session then deadline = expire_window(record, now, deadline, due); end
				record.deadline = deadline < math.huge and deadline or nil;
				if not record.deadline then waiting[record] = nil; end
			end
		end
		book:flush();
		refuse_all(due);
	end

	-- A record without stream, or one that was read from disk: its entries run out from now on.
	local function leave(record)
		if record.box.waiting > 0 or unacked(record.box) > 0 then remind(record, host.now()); end
	end

	-- Everything that is on its way to a record, as `refuse_all` takes it (its owner is being released).
	local function contents(record)
		local box, due = record.box, {};
		for n = box.first, box.next - 1 do
			if box.xml[n] then due[#due + 1] = { box.xml[n], "unacknowledged" }; end
		end
		for _, xml in box_lib.entries(box) do due[#due + 1] = { xml, "released" }; end
		return due;
	end

	return { deliver = deliver; pump = pump; ask = ask; advertise = advertise; expire = expire; leave = leave;
		contents = contents; refuse = refuse; refuse_all = refuse_all; };
end
