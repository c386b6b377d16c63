-- The wire: TCP connections, stream headers, handshakes, acks, stream errors, flow control. One for the whole
-- server (mod_component_shards.lua); a proved stream is handed to its host's sessions and router.
--
-- wire: { module, limits = { size, elements, handshake }, host_of = function (domain) -> host or nil, now }
local st = require "util.stanza";
local new_xmpp_stream = require "util.xmppstream".new;
local new_uuid = require "util.uuid".generate;
local prep = require "util.jid".prep;

local xmlns_component = "jabber:component:accept";
local xmlns_errors = "urn:ietf:params:xml:ns:xmpp-streams";
local xmlns_sm = "urn:xmpp:sm:3";
local UNPROVED_SIZE = 10000; -- bytes of a stanza before the handshake
local STANZAS = { message = true, presence = true, iq = true };

return function (wire, secrets, bucket)
	local module, limits, now = wire.module, wire.limits, wire.now;
	local sessions = {}; -- [conn] = session
	local callbacks = { default_ns = xmlns_component };
	local listener = {};

	local function forget(session)
		if session.record then session.handlers.sessions.detach(session); end
		if session.timer then session.timer:stop(); end
		sessions[session.conn] = nil;
		session.destroyed, session.timer, session.stream = true, nil, nil;
	end

	-- Close the stream, with a stream error { condition, text } or without.
	local function close(session, reason)
		if session.destroyed then return; end
		local conn = session.conn;
		if session.notopen then session:open_stream(); end
		if reason then
			local stanza = st.stanza("stream:error"):tag(reason.condition, { xmlns = xmlns_errors }):up();
			if reason.text then stanza:text_tag("text", reason.text, { xmlns = xmlns_errors }); end
			conn:write(tostring(stanza));
		end
		session.log("info", "stream_closed condition=%s", reason and reason.condition or "none");
		conn:write("</stream:stream>");
		forget(session);
		conn:close();
	end

	-- What Prosody's own code calls to write to the stream.
	local function send_to(session, data)
		if session.destroyed or not data then return; end
		if session.record and st.is_stanza(data) and STANZAS[data.name] then
			return session.handlers.router.direct(session, data);
		end
		return session.conn:write(tostring(data));
	end

	function callbacks.streamopened(session, attr)
		local domain = attr.to and prep(attr.to);
		local handlers = domain and wire.host_of(domain);
		if not domain then
			return session:close{ condition = "improper-addressing", text = "'to' must be the component's domain" };
		elseif not handlers then
			return session:close{ condition = "host-unknown", text = "no component of this name here" };
		end
		local claim, condition, text = secrets.claim(attr);
		if not claim then
			return session:close{ condition = condition, text = text };
		elseif claim.role == "shard" and not claim.acks then
			return session:close{ condition = "policy-violation", text = "a shard must open with acks" };
		end
		session.host, session.handlers, session.claim = domain, handlers, claim;
		session.stream_id = new_uuid();
		session.streamid = session.stream_id; -- the name that open_stream knows
		session.notopen = nil;
		session:open_stream();
	end

	function callbacks.streamclosed(session)
		session:close();
	end

	-- kind: "no-stream", "parse-error", "stream-error" or another; detail: a text, or the client's <stream:error/>.
	function callbacks.error(session, kind, detail)
		if session.destroyed then return; end
		if kind == "no-stream" then
			session:close{ condition = "invalid-namespace" };
		elseif kind == "parse-error" and detail == "resource-constraint" then
			session:close{ condition = "policy-violation", text = "stanza-too-complex" };
		elseif kind == "stream-error" then
			session:close();
		else
			session:close{ condition = "not-well-formed" };
		end
	end

	local function handshake(session, stanza)
		local handlers, claim = session.handlers, session.claim;
		if stanza.name ~= "handshake" or stanza.attr.xmlns or #stanza.tags > 0 then
			return session:close{ condition = "not-authorized", text = "the handshake comes first" };
		end
		local proof = secrets.verify(stanza:get_text() or "", claim, session.host, session.stream_id, handlers.masters,
			handlers.plain_secret);
		if not proof then
			handlers.totals.auth_failed = handlers.totals.auth_failed + 1;
			session.log("warn", "handshake_failed role=%s", claim.role);
			return session:close{ condition = "not-authorized", text = "Given token does not match calculated token" };
		end
		-- The plain secret binds no epoch: whoever has it must not lock out the front desk with a huge one.
		if proof == "plain" then claim.epoch = 0; end
		session.timer:stop();
		session.timer, session.claim, session.stream_id = nil, nil, nil;
		session.stream:set_stanza_size_limit(limits.size, limits.elements);
		if claim.role == "shard" then session.bucket = bucket.new(handlers.options.burst, now()); end
		return handlers.sessions.open(session, claim);
	end

	-- COMPAT: some component libraries put jabber:client on stanzas; XEP-0114 has jabber:component:accept. May go
	-- when nobody is seen to do it.
	local function drop_client_namespace(element)
		if element.attr.xmlns == "jabber:client" then
			element.attr.xmlns = nil;
			for _, child in ipairs(element.tags) do drop_client_namespace(child); end
		end
	end

	local function acknowledgement(session, stanza)
		if stanza.name == "a" then
			if not session.acks or not session.handlers.sessions.acked(session, stanza.attr.h) then
				session.handlers.sessions.close(session, { condition = "undefined-condition", text = "bad ack" });
			end
		elseif stanza.name == "r" then
			session.conn:write(("<a xmlns='%s' h='%d'/>"):format(xmlns_sm,
				session.handlers.sessions.count(session)));
		else
			session.handlers.sessions.close(session, { condition = "unsupported-stanza-type" });
		end
	end

	function callbacks.handlestanza(session, stanza)
		if session.destroyed then return; end
		if not session.record then return handshake(session, stanza); end
		local tokens = session.bucket;
		if tokens then
			local options = session.handlers.options;
			session.debt = bucket.take(tokens, options.rate, options.burst, now()) or session.debt;
		end
		if stanza.attr.xmlns == xmlns_sm then return acknowledgement(session, stanza); end
		drop_client_namespace(stanza);
		return session.handlers.router.take(session, stanza);
	end

	function listener.onconnect(conn)
		local session = { type = "component_unauthed", conn = conn, notopen = true, close = close, log = module._log };
		session.send = function (data) return send_to(session, data); end
		session.stream = new_xmpp_stream(session, callbacks, UNPROVED_SIZE);
		session.timer = module:add_timer(limits.handshake, function ()
			session:close{ condition = "connection-timeout", text = "no handshake in time" };
		end);
		sessions[conn] = session;
		conn:setoption("keepalive", true);
	end

	-- Read nothing from the connection for some seconds.
	local function hold(conn, seconds)
		if conn.pausefor then return conn:pausefor(seconds); end
		conn:pause(); -- net.server's other backends
		module:add_timer(seconds, function () if sessions[conn] then conn:resume(); end end);
	end

	function listener.onincoming(conn, data)
		local session = sessions[conn];
		if not session then return; end
		local ok, err = session.stream:feed(data);
		if session.destroyed then return; end
		if not ok then
			local large = err == "stanza-too-large";
			return session:close{ condition = large and "policy-violation" or "not-well-formed", text = large and err or nil };
		end
		if session.debt then
			session.handlers.totals.throttled = session.handlers.totals.throttled + 1;
			hold(conn, session.debt);
			session.debt = nil;
		end
	end

	function listener.ondrain(conn)
		local session = sessions[conn];
		if session and session.record and not session.acks then
			session.pending = 0;
			session.handlers.pump(session.record);
		end
	end

	function listener.onreadtimeout(conn)
		if sessions[conn] then
			conn:write(" ");
			return true;
		end
	end

	function listener.ondisconnect(conn, err)
		local session = sessions[conn];
		if session then
			session.log("info", "stream_lost cause=%s", err or "closed");
			forget(session);
		end
	end

	function listener.ondetach(conn)
		sessions[conn] = nil;
	end

	-- Close every stream, or those of one domain; returns how many.
	local function close_all(reason, domain)
		local open = {};
		for _, session in pairs(sessions) do
			if not domain or session.host == domain then open[#open + 1] = session; end
		end
		for _, session in ipairs(open) do session:close(reason); end
		return #open;
	end

	return { listener = listener; close_all = close_all; };
end
