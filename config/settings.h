#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "config/ring.h"
#include "config/types.h"

// ringagent.toml -> Settings: every key, its default and its limits (contract.md, "Config").
//
// Intuition: a DBA edits this file at night. So nothing is guessed and nothing is ignored: an unknown key, a wrong type, a
// value out of range and a contradiction are errors, all of them are reported at once, each in one line with the line
// number of the file, what is wrong and what would be right.
//
// Invariants: a Settings value that was handed out is complete and consistent; passwords never print themselves.
namespace ringagent {

// A text that must not appear in a log, a plan or an error.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string text) : text_(std::move(text)) {}
  const std::string& reveal() const { return text_; }
  bool empty() const { return text_.empty(); }

 private:
  std::string text_;
};

enum class Tls : std::uint8_t { off, required, verify_ca };

struct Settings {
  std::string cluster;
  std::string node;  // default: host name
  std::string state_dir = "/var/lib/ringagent";
  std::string socket = "/run/ringagent/ringagent.sock";

  struct Gossip {
    Address listen{"0.0.0.0", 7946};
    Address advertise;  // default: listen, where it is a concrete address
    std::vector<Address> peers;
    std::string key_file;  // "" only with insecure
    bool insecure = false;
  } gossip;

  struct Mysql {
    std::string socket;  // this, or address
    Address address;
    std::string user = "ringagent";
    Secret password;    // from password_file; empty: unix_socket / auth_socket
    Address advertise;  // where the other nodes reach this server
    Tls tls = Tls::off;
    std::string ca;
  } mysql;

  struct Replication {
    std::string user = "ringagent_repl";
    Secret password;
    std::string mode = "auto";  // auto | gtid
    Tls tls = Tls::off;
    std::string ca;  // as the server sees the path
    Duration heartbeat_period{500'000};
    Duration connect_retry{1'000'000};
  } replication;

  struct Ring {
    std::vector<std::string> initial;
    Role role = Role::ring;
    bool one_writer = false;  // writers
  } ring;

  struct Failure {
    Duration silence{2'500'000};
    Duration hung_after{3'000'000};
    Duration grace{0};
    Duration link_grace{5'000'000};
    bool bypass_stuck = false;  // on_stuck
    Duration max_lag{0};
    Duration settle{1'000'000};
    bool read_only_without_quorum = false;  // on_quorum_loss
    bool replay_stranded = true;            // stranded
    Duration replay_max_age{600'000'000};
  } failure;

  Address http{"127.0.0.1", 7947};  // empty: off

  std::string ring_changed;  // [hooks]
  std::string state_file = "/run/ringagent/ring.json";

  LogLevel log_level = LogLevel::info;
  bool log_json = false;
};

struct SettingsFault {
  std::size_t line = 0;  // 0: the file as a whole
  std::string text;
  bool operator==(const SettingsFault&) const = default;
};
using SettingsResult = tl::expected<Settings, std::vector<SettingsFault>>;

// What parsing needs of the machine; tests bring their own.
struct SettingsHost {
  std::function<std::string()> host_name;
  // The text without the end of its last line; an error if it is empty, or if others can read the file. A password is
  // one line of it; a key file has a line for each key (gossip/seal.h).
  std::function<Result<std::string>(const std::string& path)> read_secret_file;
};
SettingsHost this_host();

SettingsResult parse_settings(std::string_view text, const SettingsHost& host);
SettingsResult load_settings(const std::string& path);

// Of the settings that must be equal on every node (cluster, initial, writers, failure, replication mode, heartbeat): agents
// compare it and name who differs.
std::uint64_t settings_fingerprint(const Settings& settings);

// One row for each key, in the order of the file: the sample config and ringagent.toml(5) are printed from it.
struct SettingsKey {
  std::string section;
  std::string name;
  std::string value;  // as TOML: the default, or an example where there is none
  bool has_default = true;
  std::string comment;   // what it does, limits, unit; a line break stands where one is wanted
  bool fill_in = false;  // nobody can guess it: in the sample it is not commented out
};
const std::vector<SettingsKey>& settings_keys();
std::string sample_config();  // config/dist/ringagent.toml

}  // namespace ringagent
