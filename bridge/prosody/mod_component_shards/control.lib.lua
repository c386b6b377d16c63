-- What the control plane asks for: assign, release, status, purge; over the front desk's stream (iq) and over the
-- token-protected HTTP view. host: as in router.lib.lua.
local st = require "util.stanza";
local prepped_split = require "util.jid".prepped_split;
local array = require "util.array";
local json = require "util.json";
local hashes = require "util.hashes";

local PAGE = 500; -- shards in one answer of the view: 10,000 in one go would hold up the server

return function (host, fencing, box_lib, secrets, delivery, sessions)
	local book = host.book;

	local function status_of(record)
		return {
			id = host.name_of(record), owner = record.owner, epoch = record.epoch, connected = record.session ~= nil,
			waiting = record.box.waiting, unacked = box_lib.unacked(record.box), seq = record.seq,
			released = record.released ~= nil, since = record.since, instance = record.instance,
		};
	end

	local function assign(record, owner, epoch)
		if not epoch or epoch < 1 then return nil, "bad-request"; end
		if not fencing.assignable(record, epoch) then return nil, "conflict"; end
		record = record or book:open(owner);
		if record and (record.released or epoch > record.epoch) then
			if record.session then
				sessions.close(record.session, sessions.conflict("fenced: a newer epoch was assigned"));
			end
			if not book:commit("E", record, epoch, "") then return nil, "resource-constraint"; end
		end
		if not record or not book:flush() then return nil, "resource-constraint"; end
		return status_of(record);
	end

	local function release(record)
		if not record or record.released then return nil, "item-not-found"; end
		if record.session then sessions.close(record.session, { condition = "reset", text = "released" }); end
		local due = delivery.contents(record);
		if not book:commit("L", record, host.now()) or not book:flush() then return nil, "resource-constraint"; end
		delivery.refuse_all(due);
		return status_of(record);
	end

	local function purge(record)
		if not record then return nil, "item-not-found"; end
		if not record.released then
			local ok, why = release(record);
			if not ok then return nil, why; end
		end
		local last = status_of(record);
		if not book:commit("P", record) or not book:flush() then return nil, "resource-constraint"; end
		host.names[last.id] = nil;
		return last;
	end

	local function status(record)
		if not record then return nil, "item-not-found"; end
		return status_of(record);
	end

	local ACTIONS = {
		assign = assign;
		release = function (record) return release(record); end;
		status = function (record) return status(record); end;
		purge = function (record) return purge(record); end;
	};

	-- Do one action. owner: any spelling of a bare JID. Returns a status, or nil and an error condition.
	local function act(action, owner, epoch)
		local node, domain, resource;
		if type(owner) == "string" then node, domain, resource = prepped_split(owner); end
		if not node or resource or not ACTIONS[action] then return nil, "bad-request"; end
		owner = node .. "@" .. domain;
		local state, why = ACTIONS[action](book.by_owner[owner], owner, epoch);
		host.log("info", "control_%s shard=%s epoch=%s outcome=%s", action, host.name_for(owner), epoch or "-",
			why or "done");
		return state, why;
	end

	local ERROR_TYPES = { ["bad-request"] = "modify", ["resource-constraint"] = "wait" };

	-- The answer to a control iq of the front desk.
	local function iq(stanza)
		local shard = stanza:get_child("shard", secrets.xmlns);
		local kind, action = stanza.attr.type, shard.attr.action;
		if kind ~= "get" and kind ~= "set" or (kind == "get") ~= (action == "status") then
			return st.error_reply(stanza, "modify", "bad-request");
		end
		local state, why = act(action, shard.attr.owner, secrets.integer(shard.attr.epoch));
		if not state then return st.error_reply(stanza, ERROR_TYPES[why] or "cancel", why); end
		local reply = st.reply(stanza);
		return reply:tag("shard", {
			xmlns = secrets.xmlns, owner = state.owner, epoch = ("%d"):format(state.epoch),
			connected = tostring(state.connected), waiting = ("%d"):format(state.waiting),
			unacked = ("%d"):format(state.unacked), seq = ("%d"):format(state.seq), released = tostring(state.released),
		});
	end

	-- The record behind an opaque id of the view, or nil.
	local function by_name(name)
		if not host.names[name] then
			for _, record in pairs(book.by_id) do host.name_of(record); end
		end
		local record = host.names[name];
		return record and book.by_id[record.id] == record and record or nil;
	end

	-- One page of shards, ordered by record number; `next` is where the next page starts.
	local function page(after, limit)
		local shards, nr = array(), after; -- an array: JSON has [] for none
		while nr < book.last_id and #shards < limit do
			nr = nr + 1;
			local record = book.by_id[nr];
			if record and record.owner ~= "" and not record.released then shards[#shards + 1] = status_of(record); end
		end
		return shards, nr < book.last_id and nr or nil;
	end

	local function view(query)
		local after = tonumber((query or ""):match("after=(%d+)")) or 0;
		local limit = math.min(tonumber((query or ""):match("limit=(%d+)")) or PAGE, PAGE);
		local shards, next_page = page(after, limit);
		local gateway = status_of(book.by_owner[""]);
		gateway.owner, gateway.id = nil, nil;
		return { domain = host.domain, gen = book.gen, connected = sessions.connected(), gateway = gateway,
			totals = host.totals, stanzas = book.stanzas, bytes = book.bytes, shards = shards, next = next_page };
	end

	local CODES = { ["bad-request"] = 400, ["item-not-found"] = 404, conflict = 409, ["resource-constraint"] = 503 };

	local function answer(event, state, why)
		event.response.headers.content_type = "application/json";
		event.response.headers.cache_control = "no-store";
		event.response.status_code = state and 200 or CODES[why];
		return json.encode(state or { error = why });
	end

	-- Wrap an HTTP handler: only with the admin token.
	local function guarded(token, handler)
		local expected = "Bearer " .. token;
		return function (event, path)
			if not hashes.equals(event.request.headers.authorization or "", expected) then
				event.response.headers.www_authenticate = "Bearer";
				return 401;
			end
			return handler(event, path);
		end
	end

	local function body_of(event)
		local ok, body = pcall(json.decode, event.request.body or "");
		return ok and type(body) == "table" and body or {};
	end

	local function named_owner(path)
		local record = by_name(path);
		return record and record.owner ~= "" and record.owner;
	end

	-- The routes of the HTTP view (README, "HTTP view").
	local function routes(token)
		local function act_on(event, owner, action, epoch)
			return answer(event, act(action, owner, math.tointeger(epoch)));
		end
		return {
			GET = guarded(token, function (event) return answer(event, view(event.request.url.query)); end);
			["GET /*"] = guarded(token, function (event, path)
				local owner = named_owner(path);
				if not owner then return answer(event, nil, "item-not-found"); end
				return act_on(event, owner, "status");
			end);
			POST = guarded(token, function (event)
				local body = body_of(event);
				return act_on(event, body.owner, body.action, body.epoch);
			end);
			["POST /*"] = guarded(token, function (event, path)
				local owner, body = named_owner(path), body_of(event);
				if not owner then return answer(event, nil, "item-not-found"); end
				return act_on(event, owner, body.action, body.epoch);
			end);
			["DELETE /*"] = guarded(token, function (event, path)
				local owner = named_owner(path);
				local state, why = nil, "item-not-found";
				if owner then state, why = act("release", owner); end
				if state then return 204; end
				return answer(event, nil, why);
			end);
		};
	end

	return { act = act; iq = iq; routes = routes; };
end
