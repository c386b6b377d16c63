-- The life of one stream towards one component host: fenced in, brought up to date, acknowledging, gone.
-- Called by streams.lib.lua (the wire) and control.lib.lua (the control plane). host: as in delivery.lib.lua.
return function (host, fencing, box_lib, secrets, delivery)
	local book, totals = host.book, host.totals;
	local GAP = "<gap xmlns='" .. secrets.xmlns .. "'/>";
	local connected = 0; -- shards, without the front desk

	local function conflict(text)
		return { condition = "conflict", text = text };
	end

	-- Take the stream off its record; what is on its way waits for the next one.
	local function detach(session)
		local record = session.record;
		if not record then return; end
		session.record, session.live = nil, false;
		if record.session == session then
			record.session, record.since = nil, nil;
			if record.owner == "" then host.gateway_lost = host.now(); else connected = connected - 1; end
			delivery.leave(record);
		end
	end

	local function close(session, reason)
		detach(session);
		session:close(reason);
	end

	-- Write the unacknowledged stanzas again under their old numbers.
	local function rewrite_window(session, box)
		local parts = {};
		for n = box.first, box.next - 1 do
			local xml = box.xml[n];
			if xml then totals.redelivered = totals.redelivered + 1; end
			parts[#parts + 1] = xml or GAP;
		end
		if #parts > 0 then session.conn:write(table.concat(parts)); end
	end

	-- Everything up to the cursor counts as acknowledged, if it speaks of this numbering. A cursor ahead of us tells
	-- that our disk lost the end of the journal (a power cut): the numbers go on where the client is.
	local function apply_cursor(record, claim)
		if claim.cursor_gen ~= book.gen then return; end
		if claim.cursor_n >= record.box.next then
			host.log("warn", "numbers_lost shard=%s count=%d", host.name_of(record), claim.cursor_n - record.box.next + 1);
			book:commit("N", record, claim.cursor_n + 1);
		elseif claim.cursor_n >= record.box.first then
			book:commit("A", record, claim.cursor_n);
		end
	end

	local function open_numbered(session, record, claim)
		apply_cursor(record, claim);
		local box = record.box;
		-- The old stream's list of privileges is out of date: its number becomes a gap.
		if record.advert and record.advert >= box.first then book:commit("G", record, record.advert); end
		record.advert = nil;
		book:flush();
		session.conn:write(("<session xmlns='%s' gen='%s' next='%d' h='%d' seq='%d'/>"):format(
			secrets.xmlns, book.gen, box.first, record.count, record.seq));
		rewrite_window(session, box);
	end

	-- A stream proved its claim (secrets.lib.lua): let it in and bring it up to date, or close it.
	local function open(session, claim)
		local record = book.by_owner[claim.owner];
		local verdict, why = fencing.judge(record, record and record.session ~= nil, claim.epoch, claim.instance);
		if not verdict then
			totals.fenced = totals.fenced + 1;
			return session:close(conflict(why));
		end
		if verdict == "replace" then
			totals.replaced = totals.replaced + 1;
			close(record.session, conflict("Replaced by a new connection"));
		end
		record = record or book:open(claim.owner);
		local fenced = record and (record.released or claim.epoch ~= record.epoch or claim.instance ~= record.instance);
		if not record or (fenced and not book:commit("E", record, claim.epoch, claim.instance)) or not book:flush() then
			return session:close{ condition = "internal-server-error", text = "the fence cannot be written" };
		end
		record.session, record.since = session, host.now();
		session.record, session.acks, session.pending = record, claim.acks, 0;
		session.type, session.host = "component", host.domain;
		if claim.role == "shard" then
			session.who = { owner = claim.owner, owner_host = claim.owner:match("@(.*)$"), domain = host.domain,
				uploads = host.uploads };
		end
		if claim.owner ~= "" then connected = connected + 1; end
		session.conn:write("<handshake/>");
		if claim.acks then
			open_numbered(session, record, claim);
		elseif box_lib.unacked(record.box) > 0 then
			book:commit("U", record, box_lib.front(record.box));
		end
		if claim.role == "shard" or host.options.gateway_privileges then
			host.fire("component-authenticated", session);
		end
		if session.record ~= record then return; end -- a handler closed it
		session.live = true;
		delivery.pump(record);
		if claim.acks then delivery.ask(session, record.box); end
	end

	-- <a h=''/>: everything up to h is durable with the client. Returns false when h makes no sense.
	local function acked(session, h)
		local record = session.record;
		local box = record.box;
		h = secrets.integer(h);
		if not h or h >= box.next then return false; end
		if h >= box.first then
			local count = book:commit("A", record, h);
			totals.acked = totals.acked + (count or 0);
			session.asked = nil;
			delivery.pump(record);
		end
		return true;
	end

	-- How many of the stream's stanzas were taken; what is told here is on disk, so it never goes back.
	local function count(session)
		book:flush();
		return session.record.count;
	end

	return { open = open; acked = acked; count = count; detach = detach; close = close; conflict = conflict;
		connected = function () return connected; end; };
end
