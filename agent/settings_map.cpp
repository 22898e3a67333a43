#include "agent/settings_map.h"

namespace ringagent {
namespace {

TlsMode tls_mode(Tls tls) {
  switch (tls) {
    case Tls::off:
      return TlsMode::off;
    case Tls::required:
      return TlsMode::required;
    case Tls::verify_ca:
      return TlsMode::verify_ca;
  }
  return TlsMode::verify_ca;
}

const char* tls_word(Tls tls) {
  switch (tls) {
    case Tls::off:
      return "off";
    case Tls::required:
      return "required";
    case Tls::verify_ca:
      return "verify_ca";
  }
  return "verify_ca";
}

}  // namespace

NodeSettings node_settings(const Settings& s) {
  NodeSettings out;
  out.cluster = s.cluster;
  out.name = s.node;
  out.agent_version = RINGAGENT_VERSION;
  out.role = s.ring.role;
  out.initial = s.ring.initial;
  out.gossip = s.gossip.advertise;
  out.mysql = s.mysql.advertise;
  out.peers = s.gossip.peers;
  out.fingerprint = settings_fingerprint(s);
  out.one_writer = s.ring.one_writer;
  out.silence = s.failure.silence;
  out.hung_after = s.failure.hung_after;
  out.grace = s.failure.grace;
  out.settle = s.failure.settle;
  out.link_grace = s.failure.link_grace;
  out.bypass_stuck = s.failure.bypass_stuck;
  out.max_lag = s.failure.max_lag;
  out.read_only_without_quorum = s.failure.read_only_without_quorum;
  out.replay_stranded = s.failure.replay_stranded;
  out.replay_max_age = s.failure.replay_max_age;
  out.replication_user = s.replication.user;
  out.replication_password = s.replication.password.reveal();
  out.replication_tls = tls_word(s.replication.tls);
  out.replication_ca = s.replication.ca;
  out.heartbeat_period = s.replication.heartbeat_period;
  out.connect_retry = s.replication.connect_retry;
  return out;
}

ConnectSettings local_connection(const Settings& s) {
  return {s.mysql.socket,        s.mysql.socket.empty() ? s.mysql.address : Address{},
          s.mysql.user,          s.mysql.password.reveal(),
          tls_mode(s.mysql.tls), s.mysql.ca};
}

ConnectSettings remote_connection(const Settings& s) {
  return {"", {}, s.replication.user, s.replication.password.reveal(), tls_mode(s.replication.tls), s.replication.ca};
}

WorkerSettings worker_settings(const Settings& s, const std::string& name) {
  return {name, local_connection(s), remote_connection(s)};
}

Result<KeyRing> read_keys(const Settings& settings) {
  if (settings.gossip.insecure) return KeyRing::insecure();
  const auto text = this_host().read_secret_file(settings.gossip.key_file);
  if (!text) return fail("[gossip] key_file: " + text.error().text);
  auto keys = KeyRing::parse(*text);
  if (!keys) return fail("[gossip] key_file: " + settings.gossip.key_file + ": " + keys.error().text);
  return keys;
}

std::vector<std::string> needs_restart(const Settings& a, const Settings& b) {
  std::vector<std::string> out;
  const auto compare = [&](bool equal, const char* key) {
    if (!equal) out.emplace_back(key);
  };
  compare(a.cluster == b.cluster, "cluster");
  compare(a.node == b.node, "node");
  compare(a.state_dir == b.state_dir, "state_dir");
  compare(a.socket == b.socket, "socket");
  compare(a.gossip.listen == b.gossip.listen, "[gossip] listen");
  compare(a.gossip.advertise == b.gossip.advertise, "[gossip] advertise");
  compare(a.gossip.insecure == b.gossip.insecure, "[gossip] insecure");
  compare(a.http == b.http, "[http] listen");
  return out;
}

}  // namespace ringagent
