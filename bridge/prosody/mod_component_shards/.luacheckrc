-- Lua 5.4 as Prosody 0.12 on Debian 12 runs it.
std = "lua54"
max_line_length = 120
read_globals = { "prosody" }
globals = { "module" }
