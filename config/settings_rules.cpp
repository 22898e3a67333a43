#include "config/settings_rules.h"

#include <algorithm>
#include <utility>

#include "config/duration.h"

namespace ringagent {
namespace {

constexpr std::uint16_t kMysqlPort = 3306;
constexpr const char* kMysqlSocket = "/run/mysqld/mysqld.sock";

// A key that a later version has; the file that asks for it must not be taken as if it had it.
void refuse_later(const SettingKey& key, const std::string& value, const std::string& instead) {
  key.wrong(value + " is not in this version yet; " + instead);
}

class Rules {
 public:
  Rules(const Sheet& sheet, const SettingsHost& host, Findings found)
      : sheet_(sheet), host_(host), found_(std::move(found)) {}

  SettingsResult apply() {
    read_top();
    read_gossip();
    read_mysql();
    read_replication();
    read_ring();
    read_failure();
    read_rest();
    contradictions();
    if (found_.faults.empty()) return std::move(s_);
    std::stable_sort(found_.faults.begin(), found_.faults.end(),
                     [](const SettingsFault& a, const SettingsFault& b) { return a.line < b.line; });
    return tl::unexpected(std::move(found_.faults));
  }

 private:
  SettingKey key(const char* section, const char* name) { return SettingKey(sheet_, section, name, found_); }

  void read_secret(const SettingKey& key, Secret& out) {
    std::string path;
    read_text(key, path);
    if (path.empty()) return;
    auto secret = host_.read_secret_file(path);
    if (!secret) return key.wrong(secret.error().text);
    if (secret->find_first_of(std::string_view("\n\r\0", 3)) != std::string::npos)
      return key.wrong(path + " holds more than one line; it holds the password and nothing else");
    out = Secret(std::move(*secret));
  }

  void read_tls(const char* section, Tls& tls, std::string& ca) {
    const SettingKey tls_key = key(section, "tls");
    const SettingKey ca_key = key(section, "ca");
    read_choice<Tls>(tls_key, tls, {{"off", Tls::off}, {"required", Tls::required}, {"verify_ca", Tls::verify_ca}});
    read_text(ca_key, ca);
    if (!tls_key.sound() || !ca_key.sound()) return;
    if (tls == Tls::verify_ca && ca.empty())
      ca_key.missing("tls = \"verify_ca\" needs the certificate that it verifies against");
    if (tls != Tls::verify_ca && !ca.empty())
      ca_key.wrong("is used with tls = \"verify_ca\" only; set that or leave ca out");
  }

  void read_top() {
    const SettingKey cluster = key("", "cluster");
    read_name(cluster, s_.cluster);
    if (!cluster.given()) cluster.missing("the name of the ring, the same on every node");
    read_node();
    read_text(key("", "state_dir"), s_.state_dir);
    read_socket_path(key("", "socket"), s_.socket);
  }

  void read_node() {
    const SettingKey node = key("", "node");
    read_name(node, s_.node);
    if (node.given()) return;
    s_.node = host_.host_name();
    if (const auto fault = wrong_name(s_.node))
      node.wrong("missing, and the host name " + *fault + "; write " + node.example());
  }

  void read_gossip() {
    auto& g = s_.gossip;
    const SettingKey listen = key("gossip", "listen");
    const SettingKey advertise = key("gossip", "advertise");
    const SettingKey key_file = key("gossip", "key_file");
    const SettingKey insecure = key("gossip", "insecure");
    read_address(listen, g.listen);
    read_address(advertise, g.advertise);
    if (!advertise.given() && listen.sound()) {
      if (any(g.listen))
        advertise.missing("listen = " + quoted(g.listen.str()) +
                          " is every address of this host, and the other nodes need one of them");
      else
        g.advertise = g.listen;
    }
    refuse_any(advertise, g.advertise);
    read_peers();
    read_text(key_file, g.key_file);
    read_flag(insecure, g.insecure);
    if (!key_file.sound() || !insecure.sound()) return;
    if (g.insecure && key_file.given()) insecure.wrong("contradicts key_file; leave one of the two out");
    if (!g.insecure && !key_file.given())
      key_file.missing("make one with `ringagent keygen --out FILE`, the same on every node");
    if (g.key_file.empty()) return;
    if (const auto keys = host_.read_secret_file(g.key_file); !keys) key_file.wrong(keys.error().text);
  }

  void refuse_any(const SettingKey& key, const Address& address) {
    if (key.given() && key.sound() && any(address))
      key.wrong(quoted(address.str()) +
                " is every address of this host; name the one at which the other nodes reach it, as in " +
                key.example());
  }

  void read_peers() {
    const SettingKey peers = key("gossip", "peers");
    for (const auto& [text, line] : read_list(peers)) {
      const auto address = Address::parse(text);
      if (!address)
        peers.wrong_at(line, address.error().text);
      else if (any(*address))
        peers.wrong_at(line, quoted(text) + " is every address of a host; name one");
      else
        s_.gossip.peers.push_back(*address);
    }
  }

  void read_mysql() {
    auto& m = s_.mysql;
    read_server_address();
    read_text(key("mysql", "user"), m.user);
    read_secret(key("mysql", "password_file"), m.password);
    read_tls("mysql", m.tls, m.ca);
    const SettingKey advertise = key("mysql", "advertise");
    read_address(advertise, m.advertise);
    refuse_any(advertise, m.advertise);
  }

  // A unix socket or host and port, never both: it would be a guess which of them is meant.
  void read_server_address() {
    auto& m = s_.mysql;
    const SettingKey socket = key("mysql", "socket");
    const SettingKey host = key("mysql", "host");
    const SettingKey port = key("mysql", "port");
    read_socket_path(socket, m.socket);
    read_text(host, m.address.host);
    if (Address::parse(m.address.host)) host.wrong(quoted(m.address.host) + " has a port in it; write host and port");
    std::uint16_t number = kMysqlPort;
    read_port(port, number);
    if (socket.given() && (host.given() || port.given())) {
      socket.wrong(std::string("contradicts ") + (host.given() ? "host" : "port") + "; write socket, or host and port");
    } else if (port.given() && !host.given()) {
      host.missing("port is given without it");
    }
    if (host.given())
      m.address.port = number;
    else if (!socket.given())
      m.socket = kMysqlSocket;
  }

  void read_replication() {
    auto& r = s_.replication;
    const SettingKey mode = key("replication", "mode");
    const SettingKey semi_sync = key("replication", "semi_sync");
    read_text(key("replication", "user"), r.user);
    read_secret(key("replication", "password_file"), r.password);
    read_choice<std::string>(mode, r.mode, {{"auto", "auto"}, {"gtid", "gtid"}, {"position", "position"}});
    if (r.mode == "position") refuse_later(mode, "\"position\"", "use \"auto\" or \"gtid\", and GTIDs on the servers");
    read_tls("replication", r.tls, r.ca);
    bool asked = false;
    read_flag(semi_sync, asked);
    if (asked) refuse_later(semi_sync, "true", "use false");
    read_duration(key("replication", "heartbeat_period"), r.heartbeat_period,
                  {100ms, 30s, "more often is load without news, and a rarer one makes `silence` too long"});
    read_duration(key("replication", "connect_retry"), r.connect_retry,
                  {1s, 60s, "servers count whole seconds", false, 1s});
  }

  void read_ring() {
    const SettingKey initial = key("ring", "initial");
    for (const auto& [name, line] : read_list(initial)) {
      if (const auto fault = wrong_name(name))
        initial.wrong_at(line, *fault);
      else
        s_.ring.initial.push_back(name);
    }
    if (s_.ring.initial.size() > kMembersMax)
      initial.wrong("a ring has at most " + std::to_string(kMembersMax) + " members");
    read_choice<Role>(key("ring", "role"), s_.ring.role,
                      {{"ring", Role::ring}, {"leaf", Role::leaf}, {"spare", Role::spare}, {"witness", Role::witness}});
    const SettingKey heartbeat_table = key("ring", "heartbeat_table");
    bool asked = false;
    read_flag(heartbeat_table, asked);
    if (asked) refuse_later(heartbeat_table, "true", "use false");
    read_choice<bool>(key("ring", "writers"), s_.ring.one_writer, {{"all", false}, {"one", true}});
  }

  void read_failure() {
    auto& f = s_.failure;
    const auto duration = [&](const char* name, Duration& out, const Limits& limits) {
      read_duration(key("failure", name), out, limits);
    };
    duration("silence", f.silence,
             {500ms, 60s, "a shorter pause is an everyday one, and after a longer one people have long been called"});
    duration("hung_after", f.hung_after, {500ms, 10min, "a server under load may take that long to answer"});
    duration("grace", f.grace, {0ms, 10min, "it delays every repair"});
    duration("link_grace", f.link_grace,
             {500ms, 10min, "a link that was cut reconnects by itself, once a connect_retry"});
    duration("max_lag", f.max_lag,
             {1s, 7 * 24 * 60min, "0s turns it off, and servers count lag in whole seconds", true});
    duration("settle", f.settle, {0ms, 10min, "it doubles with every flap up to 10m"});
    duration("replay_max_age", f.replay_max_age,
             {0ms, 30 * 24 * 60min, "what is older than that is for a person to decide"});
    read_choice<bool>(key("failure", "on_stuck"), f.bypass_stuck, {{"wait", false}, {"bypass", true}});
    read_choice<bool>(key("failure", "on_quorum_loss"), f.read_only_without_quorum,
                      {{"keep", false}, {"read_only", true}});
    read_choice<bool>(key("failure", "stranded"), f.replay_stranded, {{"replay", true}, {"hold", false}});
  }

  void read_rest() {
    read_address(key("http", "listen"), s_.http, Empty::allowed);
    read_text(key("hooks", "ring_changed"), s_.ring_changed, Empty::allowed);
    read_text(key("hooks", "state_file"), s_.state_file, Empty::allowed);
    read_choice<LogLevel>(key("log", "level"), s_.log_level,
                          {{"debug", LogLevel::debug},
                           {"info", LogLevel::info},
                           {"warn", LogLevel::warning},
                           {"error", LogLevel::error}});
    read_choice<bool>(key("log", "format"), s_.log_json, {{"text", false}, {"json", true}});
  }

  // ---------------------------------------------------------------- what keys say together

  void contradictions() {
    check_place_in_ring();
    check_server();
    longer_than_two_heartbeats("silence", s_.failure.silence);
    longer_than_two_heartbeats("hung_after", s_.failure.hung_after);
    const SettingKey http = key("http", "listen");
    const bool same_host = s_.http.host == s_.gossip.listen.host || any(s_.http) || any(s_.gossip.listen);
    if (http.sound() && key("gossip", "listen").sound() && s_.http.port == s_.gossip.listen.port && same_host)
      http.wrong("port " + std::to_string(s_.http.port) + " is that of [gossip] listen, too; choose another");
  }

  // A link on which nothing was heard for so long speaks against its source (protocol.md section 4). Where nobody
  // writes, only heartbeats are heard.
  void longer_than_two_heartbeats(const char* name, Duration limit) {
    const SettingKey own = key("failure", name);
    const SettingKey period = key("replication", "heartbeat_period");
    if (!own.sound() || !period.sound() || limit > 2 * s_.replication.heartbeat_period) return;
    (own.given() ? own : period)
        .wrong(name + (" (" + duration_text(limit)) + ") must be longer than two heartbeats (heartbeat_period is " +
               duration_text(s_.replication.heartbeat_period) + "), or one lost heartbeat is an alarm");
  }

  void check_place_in_ring() {
    const SettingKey initial = key("ring", "initial");
    const SettingKey node = key("", "node");
    const auto& names = s_.ring.initial;
    if (!initial.sound() || !node.sound() || names.empty()) return;
    if (std::find(names.begin(), names.end(), s_.node) != names.end()) return;
    initial.wrong("does not name this node, " + quoted(s_.node) + (node.given() ? "" : " (its host name)") +
                  "; it names every node of the ring, or none");
  }

  // A witness has no server; everybody else has one that the others replicate from.
  void check_server() {
    if (s_.ring.role == Role::witness || !key("ring", "role").sound()) return;
    const SettingKey advertise = key("mysql", "advertise");
    if (!advertise.given()) advertise.missing("where the other nodes reach this server");
    const SettingKey password = key("replication", "password_file");
    if (!password.given()) password.missing("servers log in to each other with it");
  }

  const Sheet& sheet_;
  const SettingsHost& host_;
  Settings s_;
  Findings found_;
};

}  // namespace

SettingsResult apply_rules(const Sheet& sheet, const SettingsHost& host, Findings found) {
  return Rules(sheet, host, std::move(found)).apply();
}

}  // namespace ringagent
