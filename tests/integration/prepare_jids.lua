-- Prepares JIDs with Prosody's own library, as its streams do: hex in, hex or "-" out, one a line. Run by test_jid_prosody.
package.path = "/usr/lib/prosody/?.lua;" .. package.path
package.cpath = "/usr/lib/prosody/?.so;" .. package.cpath
local prep = require "util.jid".prep;

local function from_hex(pair) return string.char(tonumber(pair, 16)); end
local function to_hex(byte) return ("%02x"):format(byte:byte()); end

for line in io.lines() do
	local prepared = prep((line:gsub("%x%x", from_hex)));
	print(prepared and (prepared:gsub(".", to_hex)) or "-");
end
