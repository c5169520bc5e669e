-- PUT a 256-byte value to one key.
wrk.method = "PUT"
wrk.body = "value=" .. string.rep("x", 256)
wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
