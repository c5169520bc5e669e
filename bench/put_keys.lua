-- PUT 256-byte values to keys that all differ, in a scattered order: key i is
-- i times an odd constant modulo 2^20. Args: the first number, how many.
local at = 0
local body = "value=" .. string.rep("x", 256)
local headers = { ["Content-Type"] = "application/x-www-form-urlencoded" }

function init(args)
   at = tonumber(args[1] or "0")
end

function request()
   local key = (at * 611953) % 1048576
   at = at + 1
   return wrk.format("PUT", string.format("/v2/keys/load/%07d", key), headers, body)
end
