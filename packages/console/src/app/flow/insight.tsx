/** What the node learned about a flow beside its packets: its TCP, TLS, requests, drops and translation. */
import { count, exact, latency, socketAddress } from "../format.ts";
import { Badge } from "../icons.tsx";
import type { Flow } from "../shapes.ts";
import { visible } from "../visible.ts";
import { Fact } from "./fact.tsx";
import { type RttSample, Spark } from "./spark.tsx";

export function Connection({
  flow: { tcp, protocol },
  samples,
}: {
  flow: Flow;
  samples: readonly RttSample[];
}) {
  if (protocol !== "tcp") return null;
  return (
    <div class="sec">
      <h3>Connection</h3>
      {tcp === null ? (
        <p class="dim">Not known: no TCP socket of this host was seen for it.</p>
      ) : (
        <dl class="facts">
          <Time name="RTT" ms={tcp.rttMs} more="smoothed" none="not measured yet" />
          <Time name="least RTT" ms={tcp.minRttMs} none="not measured yet" />
          <Time name="connected in" ms={tcp.connectMs} none="not opened by this host, or before it looked" />
          <Fact name="sent again" text={`${exact(tcp.retransmits)} segments`}>
            {tcp.retransmits === 0 ? "0 segments" : <b>{count(tcp.retransmits)} segments</b>}
          </Fact>
        </dl>
      )}
      <Spark samples={samples} />
    </div>
  );
}

function Time(props: { name: string; ms: number | null; more?: string; none: string }) {
  const { name, ms, more, none } = props;
  if (ms === null)
    return (
      <>
        <dt>{name}</dt>
        <dd class="dim">{none}</dd>
      </>
    );
  return (
    <Fact name={name} text={exact(ms, "ms")} title={exact(ms, "ms")} more={more}>
      {latency(ms)}
    </Fact>
  );
}

export function Content({ flow: { application, tls, requests } }: { flow: Flow }) {
  if (application === null && tls === null && requests === null) return null;
  return (
    <div class="sec">
      <h3>Content</h3>
      <dl class="facts">
        {application !== null && <Fact name="application" text={application} />}
        {tls !== null && <Tls tls={tls} />}
        {requests !== null && (
          <>
            <Fact name="requests" text={exact(requests.count)}>
              {count(requests.count)}
              {requests.errors > 0 && (
                <>
                  , <Badge mark="error">{count(requests.errors)} failed</Badge>
                </>
              )}
            </Fact>
            <Time name="latest took" ms={requests.latencyMs} none="no answer yet" />
          </>
        )}
      </dl>
    </div>
  );
}

function Tls({ tls }: { tls: NonNullable<Flow["tls"]> }) {
  return (
    <>
      {tls.version === null ? (
        <>
          <dt>TLS</dt>
          <dd class="dim">no answer of the server seen</dd>
        </>
      ) : (
        <Fact name="TLS" text={tls.version} />
      )}
      {tls.serverName === null ? (
        <>
          <dt>server name</dt>
          <dd class="dim">none said</dd>
        </>
      ) : (
        <Fact
          name="server name"
          text={tls.serverName}
          more={tls.encryptedHello ? "outer one; the true one is encrypted (ECH)" : undefined}
        />
      )}
    </>
  );
}

export function Drops({ drops }: { drops: Flow["drops"] }) {
  if (drops === null) return null;
  return (
    <div class="sec">
      <h3>
        <Badge mark="dropped">Dropped by the kernel</Badge>
      </h3>
      <dl class="facts">
        <Fact name="packets" text={exact(drops.packets)} />
        <Fact name="latest reason" text={visible(drops.reason)} mono />
      </dl>
    </div>
  );
}

export function Translation({ translated }: { translated: Flow["translated"] }) {
  if (translated === null) return null;
  return (
    <div class="sec">
      <h3>Translated</h3>
      <dl class="facts">
        <Fact name="from" text={socketAddress(translated.source)} mono />
        <Fact name="to" text={socketAddress(translated.destination)} mono />
      </dl>
    </div>
  );
}
