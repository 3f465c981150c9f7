# A client by Python's ssl, which calls SSL_read_ex and SSL_write_ex of the system's library: one request a line.
import http.client, ssl, sys

with open("/proc/self/comm", "w") as name:
    name.write(sys.argv[1])
context = ssl._create_unverified_context()
print("ready", flush=True)
for line in sys.stdin:
    port, path = line.split()
    connection = http.client.HTTPSConnection("127.0.0.1", int(port), context=context)
    connection.request("GET", path, headers={"X-Secret": "hunter2"})
    print(connection.getresponse().read().decode()[:3], flush=True)
