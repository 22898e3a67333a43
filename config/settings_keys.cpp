#include "config/settings.h"

namespace ringagent {
namespace {

constexpr bool kNoDefault = false;
constexpr bool kFillIn = true;

}  // namespace

const std::vector<SettingsKey>& settings_keys() {
  static const std::vector<SettingsKey> keys = {
      {"", "cluster", "\"shop\"", kNoDefault,
       "The name of the ring, the same on every node. Letters, digits, \"-\", \"_\" and \".\".", kFillIn},
      {"", "node", "\"db1\"", kNoDefault, "The name of this node, unlike that of any other. Default: the host name."},
      {"", "state_dir", "\"/var/lib/ringagent\"", true,
       "What the agent must never forget: who it is, what it promised, which ring was decided. On a disk, not in a "
       "tmpfs."},
      {"", "socket", "\"/run/ringagent/ringagent.sock\"", true,
       "The unix socket over which `ringagent status` and the other commands talk to the agent. At most 107 bytes."},

      {"gossip", "listen", "\"0.0.0.0:7946\"", true,
       "Where this agent hears the others: UDP and TCP. Open both between the nodes."},
      {"gossip", "advertise", "\"10.0.0.1:7946\"", kNoDefault,
       "Where the other agents reach this one. Default: listen, where that is one address and not all of them.",
       kFillIn},
      {"gossip", "peers", "[\"10.0.0.2:7946\", \"10.0.0.3:7946\", \"10.0.0.4:7946\"]", kNoDefault,
       "The other agents, to find the ring. The own address may stand among them, so that the list can be the same "
       "everywhere.",
       kFillIn},
      {"gossip", "key_file", "\"/etc/ringagent/gossip.key\"", kNoDefault,
       "The key with which agents recognise each other and encrypt, the same on every node: `ringagent keygen --out "
       "FILE`.\n"
       "One key a line: all of them open, the first one seals. Once `ringagent key` was used, state_dir/gossip.keys "
       "counts more:\n"
       "what was removed stays so though it stands here, what is in use stays so, and this file can only add a key.\n"
       "After a rotation put the new key first here on every node: who loses his state_dir has nothing else.\n"
       "Required unless insecure = true.",
       kFillIn},
      {"gossip", "insecure", "false", true,
       "true: no key, anybody who reaches the port can change the ring. For a trial on one machine."},

      {"mysql", "socket", "\"/run/mysqld/mysqld.sock\"", true,
       "How the agent reaches its own server: this, or host and port."},
      {"mysql", "host", "\"127.0.0.1\"", kNoDefault, "Instead of socket."},
      {"mysql", "port", "3306", true, "With host."},
      {"mysql", "user", "\"ringagent\"", true,
       "The account of the agent on its own server; `ringagent setup` makes it."},
      {"mysql", "password_file", "\"/etc/ringagent/mysql.password\"", kNoDefault,
       "Its password, in a file that others cannot read (chmod 0640). Without it: no password (unix_socket, "
       "auth_socket)."},
      {"mysql", "tls", "\"off\"", true, "off | required | verify_ca: of the agent's own connections."},
      {"mysql", "ca", "\"/etc/ringagent/ca.pem\"", kNoDefault,
       "The certificate to verify against, with tls = \"verify_ca\"."},
      {"mysql", "advertise", "\"10.0.0.1:3306\"", kNoDefault,
       "Where the other nodes reach this server. Required, but for a witness.", kFillIn},

      {"replication", "user", "\"ringagent_repl\"", true,
       "The account with which the servers replicate from each other."},
      {"replication", "password_file", "\"/etc/ringagent/replication.password\"", kNoDefault,
       "Its password, the same on every node. Required, but for a witness.", kFillIn},
      {"replication", "mode", "\"auto\"", true,
       "auto | gtid | position: how a server finds its place. position is not in this version yet."},
      {"replication", "tls", "\"off\"", true,
       "off | required | verify_ca: of links that the agent creates. A link that exists keeps its own."},
      {"replication", "ca", "\"/etc/mysql/ca.pem\"", kNoDefault,
       "The certificate to verify against, with tls = \"verify_ca\"; a path on the server."},
      {"replication", "semi_sync", "false", true, "true is not in this version yet."},
      {"replication", "heartbeat_period", "\"500ms\"", true,
       "How often a source that has nothing to send says so, on links that the agent creates. 100ms to 30s, less than "
       "half of silence."},
      {"replication", "connect_retry", "\"1s\"", true,
       "How long a server waits before it connects again. 1s to 60s, whole seconds."},

      {"ring", "initial", "[\"db1\", \"db2\", \"db3\", \"db4\"]", kNoDefault,
       "The nodes in the order of the ring, the same list on every node; used once, to form it. Without it: waits for "
       "`ringagent join`.",
       kFillIn},
      {"ring", "role", "\"ring\"", true,
       "ring: a link of the ring. leaf: only follows it. spare: takes part when it is needed. witness: votes, has no "
       "server."},
      {"ring", "heartbeat_table", "false", true, "true is not in this version yet. false: never writes to your data."},
      {"ring", "writers", "\"all\"", true,
       "all | one: on how many nodes applications may write. one: the ring elects one writer, the others are "
       "read_only;\n"
       "`ringagent writer NODE` moves it. The same on every node; the mode changes when it has been changed (and "
       "reloaded) on\n"
       "all. The writer has a lease of `silence` from a majority, renewed five times as often: without one it is "
       "read_only."},

      {"failure", "silence", "\"2500ms\"", true,
       "A host is gone when nothing was heard of it for so long, neither of its agent nor over replication.\n"
       "500ms to 60s, more than two heartbeat_periods; a pause of a virtual machine must be shorter."},
      {"failure", "hung_after", "\"3s\"", true,
       "A server hangs when its agent got no answer for so long. 500ms to 10m, more than two heartbeat_periods."},
      {"failure", "grace", "\"0ms\"", true,
       "How long to wait after a server died before the ring closes around it. 0ms to 10m."},
      {"failure", "link_grace", "\"5s\"", true,
       "How long a link between two healthy servers may fail before the ring is led around it. 500ms to 10m."},
      {"failure", "on_stuck", "\"wait\"", true,
       "A server cannot apply what it gets: wait for a person, or bypass: the others replicate past it meanwhile."},
      {"failure", "max_lag", "\"0s\"", true, "A server that lags more counts as stuck. 0s: never; else 1s to 7d."},
      {"failure", "settle", "\"1s\"", true,
       "How long a server must be well before it returns to the ring; doubles with every flap, up to 10m. 0ms to 10m."},
      {"failure", "on_quorum_loss", "\"keep\"", true,
       "Without a majority of the agents: keep the servers as they are, or make them read_only."},
      {"failure", "stranded", "\"replay\"", true,
       "Transactions that never left a node that was out: replay them when it returns, or hold them for a person, who\n"
       "decides with `ringagent stranded`."},
      {"failure", "replay_max_age", "\"10m\"", true,
       "Stranded transactions that are older are held in any case. 0s to 30d."},

      {"http", "listen", "\"127.0.0.1:7947\"", true,
       "Status page, /status, /metrics, /health; read-only. \"\" turns it off."},

      {"hooks", "ring_changed", "\"\"", true,
       "A program to run when the ring has changed, with RINGAGENT_* variables; killed if it takes too long. \"\": "
       "none."},
      {"hooks", "state_file", "\"/run/ringagent/ring.json\"", true,
       "The ring as JSON, rewritten atomically at each change. \"\": none."},

      {"log", "level", "\"info\"", true, "debug | info | warn | error"},
      {"log", "format", "\"text\"", true, "text | json"},
  };
  return keys;
}

std::string sample_config() {
  std::string out =
      "# RingAgent. Every key is here. One that is commented out shows its default (or an example, where it has "
      "none);\n"
      "# the others must be filled in. Unknown keys, wrong types and contradictions are errors, all reported at once.\n"
      "# Durations have a unit: us, ms, s, m, h, d. `ringagent check` tries this file; `systemctl reload ringagent` "
      "applies it.\n";
  std::string section;
  for (const auto& key : settings_keys()) {
    if (key.section != section) out += "\n[" + key.section + "]\n";
    section = key.section;
    out += "\n# ";
    for (const char c : key.comment) out += c == '\n' ? "\n# " : std::string(1, c);
    out += "\n" + std::string(key.fill_in ? "" : "#") + key.name + " = " + key.value + "\n";
  }
  return out;
}

}  // namespace ringagent
