#include "config/settings.h"

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include <algorithm>
#include <optional>
#include <set>

#include "config/duration.h"
#include "config/settings_names.h"

namespace ringagent {
namespace {

// The longest path that fits into a sockaddr_un, which ends with a zero.
constexpr std::size_t kSocketPathBytesMax = 107;
constexpr std::uint16_t kMysqlPort = 3306;
constexpr const char* kMysqlSocket = "/run/mysqld/mysqld.sock";

const char* type_text(toml::node_type type) {
  switch (type) {
    case toml::node_type::none:
      return "nothing";
    case toml::node_type::table:
      return "a section";
    case toml::node_type::array:
      return "a list";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a number with a point";
    case toml::node_type::boolean:
      return "a boolean";
    case toml::node_type::date:
    case toml::node_type::time:
    case toml::node_type::date_time:
      return "a date or time";
  }
  return "something else";
}

std::size_t line_of(const toml::node& node) {
  return node.source().begin.line;
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) out.push_back(static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c);
  return out + "\"";
}

// Every address of a host: one can listen there, but nobody can connect to it.
bool any(const Address& address) {
  return address.host == "0.0.0.0" || address.host == "::" || address.host == "*";
}

// What has been found wrong so far, and with which keys: a rule about two keys is judged only if both are sound.
struct Findings {
  std::vector<SettingsFault> faults;
  std::set<std::string> unsound;
};

// One key: where it stands, what it says. All complaints about it begin alike.
class Key {
 public:
  Key(const toml::table& file, const char* section, const char* name, Findings& findings)
      : section_(section), name_(name), label_(key_label(section, name)), findings_(&findings) {
    const toml::table* table = *section ? file[section].as_table() : &file;
    if (table == nullptr) return;
    node_ = table->get(name);
    if (node_ != nullptr)
      line_ = line_of(*node_);
    else if (*section)
      line_ = line_of(*table);
  }

  bool given() const { return node_ != nullptr; }
  bool sound() const { return !findings_->unsound.contains(label_); }
  std::size_t line() const { return line_; }
  const std::string& label() const { return label_; }

  void wrong(const std::string& text) const { wrong_at(line_, text); }
  void wrong_at(std::size_t line, const std::string& text) const {
    findings_->faults.push_back({line, label_ + ": " + text});
    findings_->unsound.insert(label_);
  }
  void missing(const std::string& why) const { wrong("missing; " + why + ", as in " + example()); }
  std::string example() const { return name_ + " = " + settings_key(section_, name_)->value; }

  // The value if there is one and it has the right type; a complaint if it has another.
  template <class T>
  const T* as(const char* wanted) const {
    if (node_ == nullptr) return nullptr;
    const auto* value = node_->as<T>();
    if (value != nullptr) return &value->get();
    wrong(std::string("is ") + type_text(node_->type()) + "; it must be " + wanted + ", as in " + example());
    return nullptr;
  }
  const toml::array* as_array() const {
    if (node_ == nullptr) return nullptr;
    if (node_->as_array() == nullptr)
      wrong(std::string("is ") + type_text(node_->type()) + "; it must be a list of strings, as in " + example());
    return node_->as_array();
  }

 private:
  std::string section_;
  std::string name_;
  std::string label_;
  Findings* findings_;
  const toml::node* node_ = nullptr;
  std::size_t line_ = 0;
};

// ---------------------------------------------------------------- values

enum class Empty : bool { refused, allowed };

void read_text(const Key& key, std::string& out, Empty empty = Empty::refused) {
  const auto* text = key.as<std::string>("a string");
  if (text == nullptr) return;
  if (text->empty() && empty == Empty::refused)
    return key.wrong("is empty; write " + key.example() + " or leave the key out");
  if (text->find('\0') != std::string::npos) return key.wrong("holds a zero byte");
  out = *text;
}

void read_flag(const Key& key, bool& out) {
  if (const auto* flag = key.as<bool>("true or false")) out = *flag;
}

void read_socket_path(const Key& key, std::string& out) {
  read_text(key, out);
  if (out.size() > kSocketPathBytesMax)
    key.wrong("has " + std::to_string(out.size()) + " bytes; the path of a unix socket has at most " +
              std::to_string(kSocketPathBytesMax));
}

// What a name may consist of: it stands in commands, labels of metrics and names of links.
std::optional<std::string> wrong_name(const std::string& name) {
  if (name.empty()) return "is empty";
  if (name.size() > kNameBytesMax) return "is longer than " + std::to_string(kNameBytesMax) + " bytes";
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
  };
  if (!std::all_of(name.begin(), name.end(), fits))
    return quoted(name) + " must consist of letters, digits, \"-\", \"_\" and \".\"";
  if (name.front() == '-') return quoted(name) + " must not begin with \"-\"";
  return std::nullopt;
}

void read_name(const Key& key, std::string& out) {
  read_text(key, out);
  if (!key.given() || !key.sound()) return;
  if (const auto fault = wrong_name(out)) key.wrong(*fault);
}

void read_address(const Key& key, Address& out, Empty empty = Empty::refused) {
  const auto* text = key.as<std::string>("a string");
  if (text == nullptr) return;
  if (text->empty() && empty == Empty::allowed) {
    out = Address{};
    return;
  }
  const auto address = Address::parse(*text);
  if (!address) return key.wrong(address.error().text);
  out = *address;
}

// Calls `take(text, line)` with each element that is a string; two equal ones are a mistake.
template <class Take>
void read_list(const Key& key, Take take) {
  const auto* list = key.as_array();
  if (list == nullptr) return;
  std::set<std::string> seen;
  for (const toml::node& element : *list) {
    const auto* text = element.as_string();
    if (text == nullptr) {
      key.wrong_at(line_of(element), std::string("holds ") + type_text(element.type()) +
                                         "; it must be a list of strings, as in " + key.example());
    } else if (!seen.insert(text->get()).second) {
      key.wrong_at(line_of(element), "names " + quoted(text->get()) + " twice");
    } else {
      take(text->get(), line_of(element));
    }
  }
}

template <class T>
using Choices = std::vector<std::pair<std::string_view, T>>;

template <class T>
void read_choice(const Key& key, T& out, const Choices<T>& choices) {
  const auto* text = key.as<std::string>("a string");
  if (text == nullptr) return;
  std::string words;
  for (const auto& [word, value] : choices) {
    if (*text == word) {
      out = value;
      return;
    }
    words += (words.empty() ? "" : ", ") + quoted(word);
  }
  key.wrong(quoted(*text) + " is not known; it is one of " + words);
}

// A key that a later version has; the file that asks for it must not be taken as if it had it.
void refuse_later(const Key& key, const std::string& value, const std::string& instead) {
  key.wrong(value + " is not in this version yet; " + instead);
}

// From `least` to `most`, in whole `step`s; where `zero` is true, zero as well (which turns something off).
struct Limits {
  Duration least;
  Duration most;
  const char* why;  // why not less
  bool zero = false;
  Duration step = 1ms;  // the unit in which servers and messages count
};

void read_duration(const Key& key, Duration& out, const Limits& limits) {
  const auto* text = key.as<std::string>("a string with a unit");
  if (text == nullptr) return;
  const auto span = parse_duration(*text);
  if (!span) return key.wrong(span.error().text);
  const bool fits = (limits.zero && *span == 0us) || (*span >= limits.least && *span <= limits.most);
  if (!fits) {
    return key.wrong(quoted(*text) + " is out of range; it is " + (limits.zero ? "0s or " : "") +
                     duration_text(limits.least) + " to " + duration_text(limits.most) + ": " + limits.why);
  }
  if (*span % limits.step != 0us)
    return key.wrong(quoted(*text) + " must be a multiple of " + duration_text(limits.step));
  out = *span;
}

// ---------------------------------------------------------------- the whole file

class Parser {
 public:
  Parser(const toml::table& file, const SettingsHost& host) : file_(file), host_(host) {}

  SettingsResult parse() {
    find_unknown();
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
  Key key(const char* section, const char* name) { return Key(file_, section, name, found_); }

  void find_unknown() {
    for (const auto& [name, node] : file_) {
      const std::string word(name.str());
      if (!is_section(word)) {
        if (settings_key("", word) != nullptr) continue;
        found_.faults.push_back(
            {line_of(node), node.is_table() ? unknown_section_text(word) : unknown_key_text("", word)});
      } else if (const auto* section = node.as_table()) {
        find_unknown(word, *section);
      } else {
        found_.faults.push_back({line_of(node), word + ": is " + type_text(node.type()) + "; it is a section: write [" +
                                                    word + "] on a line of its own"});
      }
    }
  }
  void find_unknown(const std::string& section, const toml::table& table) {
    for (const auto& [name, node] : table) {
      if (settings_key(section, name.str()) == nullptr)
        found_.faults.push_back({line_of(node), unknown_key_text(section, std::string(name.str()))});
    }
  }

  void read_secret(const Key& key, Secret& out) {
    std::string path;
    read_text(key, path);
    if (path.empty()) return;
    auto secret = host_.read_secret_file(path);
    if (!secret) return key.wrong(secret.error().text);
    out = Secret(std::move(*secret));
  }

  void read_tls(const char* section, Tls& tls, std::string& ca) {
    const Key tls_key = key(section, "tls");
    const Key ca_key = key(section, "ca");
    read_choice<Tls>(tls_key, tls, {{"off", Tls::off}, {"required", Tls::required}, {"verify_ca", Tls::verify_ca}});
    read_text(ca_key, ca);
    if (!tls_key.sound() || !ca_key.sound()) return;
    if (tls == Tls::verify_ca && ca.empty())
      ca_key.missing("tls = \"verify_ca\" needs the certificate that it verifies against");
    if (tls != Tls::verify_ca && !ca.empty())
      ca_key.wrong("is used with tls = \"verify_ca\" only; set that or leave ca out");
  }

  void read_top() {
    const Key cluster = key("", "cluster");
    read_name(cluster, s_.cluster);
    if (!cluster.given()) cluster.missing("the name of the ring, the same on every node");
    read_node();
    read_text(key("", "state_dir"), s_.state_dir);
    read_socket_path(key("", "socket"), s_.socket);
  }

  void read_node() {
    const Key node = key("", "node");
    read_name(node, s_.node);
    if (node.given()) return;
    s_.node = host_.host_name();
    if (const auto fault = wrong_name(s_.node))
      node.wrong("missing, and the host name " + *fault + "; write " + node.example());
  }

  void read_gossip() {
    auto& g = s_.gossip;
    const Key listen = key("gossip", "listen");
    const Key advertise = key("gossip", "advertise");
    const Key key_file = key("gossip", "key_file");
    const Key insecure = key("gossip", "insecure");
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
  }

  void refuse_any(const Key& key, const Address& address) {
    if (key.given() && key.sound() && any(address))
      key.wrong(quoted(address.str()) +
                " is every address of this host; name the one at which the other nodes reach it, as in " +
                key.example());
  }

  void read_peers() {
    const Key peers = key("gossip", "peers");
    read_list(peers, [&](const std::string& text, std::size_t line) {
      const auto address = Address::parse(text);
      if (!address) return peers.wrong_at(line, address.error().text);
      if (any(*address)) return peers.wrong_at(line, quoted(text) + " is every address of a host; name one");
      s_.gossip.peers.push_back(*address);
    });
  }

  void read_mysql() {
    auto& m = s_.mysql;
    read_server_address();
    read_text(key("mysql", "user"), m.user);
    read_secret(key("mysql", "password_file"), m.password);
    read_tls("mysql", m.tls, m.ca);
    const Key advertise = key("mysql", "advertise");
    read_address(advertise, m.advertise);
    refuse_any(advertise, m.advertise);
  }

  // A unix socket or host and port, never both: it would be a guess which of them is meant.
  void read_server_address() {
    auto& m = s_.mysql;
    const Key socket = key("mysql", "socket");
    const Key host = key("mysql", "host");
    const Key port = key("mysql", "port");
    read_socket_path(socket, m.socket);
    read_text(host, m.address.host);
    std::uint16_t number = kMysqlPort;
    if (const auto* given = port.as<std::int64_t>("an integer")) {
      if (*given < 1 || *given > 65535)
        port.wrong(std::to_string(*given) + " is no port; it is 1 to 65535");
      else
        number = static_cast<std::uint16_t>(*given);
    }
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
    const Key mode = key("replication", "mode");
    const Key semi_sync = key("replication", "semi_sync");
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
    const Key initial = key("ring", "initial");
    read_list(initial, [&](const std::string& name, std::size_t line) {
      if (const auto fault = wrong_name(name)) return initial.wrong_at(line, *fault);
      s_.ring.initial.push_back(name);
    });
    if (s_.ring.initial.size() > kMembersMax)
      initial.wrong("a ring has at most " + std::to_string(kMembersMax) + " members");
    read_choice<Role>(key("ring", "role"), s_.ring.role,
                      {{"ring", Role::ring}, {"leaf", Role::leaf}, {"spare", Role::spare}, {"witness", Role::witness}});
    read_flag(key("ring", "heartbeat_table"), s_.ring.heartbeat_table);
    const Key writers = key("ring", "writers");
    bool one = false;
    read_choice<bool>(writers, one, {{"all", false}, {"one", true}});
    if (one) refuse_later(writers, "\"one\"", "use \"all\"");
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
    const Key silence = key("failure", "silence");
    const Key period = key("replication", "heartbeat_period");
    if (silence.sound() && period.sound() && s_.failure.silence <= 2 * s_.replication.heartbeat_period) {
      (silence.given() ? silence : period)
          .wrong("silence (" + duration_text(s_.failure.silence) +
                 ") must be longer than two heartbeats (heartbeat_period is " +
                 duration_text(s_.replication.heartbeat_period) + "), or one lost heartbeat is an alarm");
    }
    const Key http = key("http", "listen");
    const bool same_host = s_.http.host == s_.gossip.listen.host || any(s_.http) || any(s_.gossip.listen);
    if (http.sound() && key("gossip", "listen").sound() && s_.http.port == s_.gossip.listen.port && same_host)
      http.wrong("port " + std::to_string(s_.http.port) + " is that of [gossip] listen, too; choose another");
  }

  void check_place_in_ring() {
    const Key initial = key("ring", "initial");
    const Key node = key("", "node");
    const auto& names = s_.ring.initial;
    if (!initial.sound() || !node.sound() || names.empty()) return;
    if (std::find(names.begin(), names.end(), s_.node) != names.end()) return;
    initial.wrong("does not name this node, " + quoted(s_.node) + (node.given() ? "" : " (its host name)") +
                  "; it names every node of the ring, or none");
  }

  // A witness has no server; everybody else has one that the others replicate from.
  void check_server() {
    if (s_.ring.role == Role::witness || !key("ring", "role").sound()) return;
    const Key advertise = key("mysql", "advertise");
    if (!advertise.given()) advertise.missing("where the other nodes reach this server");
    const Key password = key("replication", "password_file");
    if (!password.given()) password.missing("servers log in to each other with it");
  }

  const toml::table& file_;
  const SettingsHost& host_;
  Settings s_;
  Findings found_;
};

}  // namespace

SettingsResult parse_settings(std::string_view text, const SettingsHost& host) {
  const toml::parse_result file = toml::parse(text);
  if (file) return Parser(file.table(), host).parse();
  std::string what(file.error().description());
  std::replace(what.begin(), what.end(), '\n', ' ');
  return tl::unexpected(std::vector<SettingsFault>{{file.error().source().begin.line, "this is no TOML: " + what}});
}

}  // namespace ringagent
