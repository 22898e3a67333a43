#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "config/settings.h"
#include "tests/unit/temp_dir.h"

using namespace ringagent;

namespace {

using Lines = std::vector<std::string>;

// A machine called db1, on which every secret can be read but those whose path has "missing" in it.
SettingsHost machine(const std::string& name = "db1") {
  return {[name] { return name; },
          [](const std::string& path) -> Result<std::string> {
            if (path.find("lines") != std::string::npos) return "two\nlines";
            if (path.find("missing") != std::string::npos)
              return fail(path + " cannot be read: No such file or directory");
            return "secret of " + path;
          }};
}

std::string key_of(const std::string& line) {
  return line.substr(0, line.find(" ="));
}

// The least that a node needs, as dotted keys, after `lines`, which take the place of what they name; "-key" leaves
// a key out. So the first of `lines` stands in line 1.
std::string file(const Lines& lines) {
  const Lines least = {"cluster = \"shop\"", "gossip.advertise = \"10.0.0.1:7946\"", "gossip.key_file = \"/key\"",
                       "mysql.advertise = \"10.0.0.1:3306\"", "replication.password_file = \"/pw\""};
  std::map<std::string, bool> named;
  std::string out;
  for (const auto& line : lines) {
    if (line.starts_with('-')) {
      named[line.substr(1)] = true;
      continue;
    }
    named[key_of(line)] = true;
    out += line + "\n";
  }
  for (const auto& line : least) {
    if (!named.contains(key_of(line))) out += line + "\n";
  }
  return out;
}

Settings accepted(const Lines& lines) {
  auto settings = parse_settings(file(lines), machine());
  if (!settings) {
    for (const auto& fault : settings.error()) MESSAGE(fault.line << ": " << fault.text);
  }
  REQUIRE(settings);
  return *settings;
}

std::vector<SettingsFault> faults(const Lines& lines) {
  auto settings = parse_settings(file(lines), machine());
  REQUIRE_FALSE(settings);
  for (const auto& fault : settings.error()) CHECK(fault.text.find('\n') == std::string::npos);
  return settings.error();
}

// The one fault, in line 1; its text.
std::string fault(const Lines& lines) {
  const auto all = faults(lines);
  for (std::size_t i = 1; i < all.size(); ++i) MESSAGE(all[i].text);
  REQUIRE(all.size() == 1);
  CHECK(all[0].line == 1);
  return all[0].text;
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string contents(const std::string& path) {
  std::ifstream in(path);
  REQUIRE_MESSAGE(in, path);
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

// All that a test can see of Settings, for comparison.
std::string shown(const Settings& s) {
  std::ostringstream out;
  const auto address = [](const Address& a) { return a.empty() ? std::string("-") : a.str(); };
  out << s.cluster << '|' << s.node << '|' << s.state_dir << '|' << s.socket << "|gossip " << address(s.gossip.listen)
      << '|' << address(s.gossip.advertise);
  for (const auto& peer : s.gossip.peers) out << '|' << address(peer);
  out << '|' << s.gossip.key_file << '|' << s.gossip.insecure << "|mysql " << s.mysql.socket << '|'
      << address(s.mysql.address) << '|' << s.mysql.user << '|' << s.mysql.password.reveal() << '|'
      << address(s.mysql.advertise) << '|' << int(s.mysql.tls) << '|' << s.mysql.ca << "|replication "
      << s.replication.user << '|' << s.replication.password.reveal() << '|' << s.replication.mode << '|'
      << int(s.replication.tls) << '|' << s.replication.ca << '|' << s.replication.heartbeat_period.count() << '|'
      << s.replication.connect_retry.count() << "|ring";
  for (const auto& name : s.ring.initial) out << ' ' << name;
  const auto& f = s.failure;
  out << '|' << to_string(s.ring.role) << "|failure " << f.silence.count() << '|' << f.hung_after.count() << '|'
      << f.grace.count() << '|' << f.link_grace.count() << '|' << f.bypass_stuck << '|' << f.max_lag.count() << '|'
      << f.settle.count() << '|' << f.read_only_without_quorum << '|' << f.replay_stranded << '|'
      << f.replay_max_age.count() << "|rest " << address(s.http) << '|' << s.ring_changed << '|' << s.state_file << '|'
      << int(s.log_level) << '|' << s.log_json;
  return out.str();
}

}  // namespace

// ---------------------------------------------------------------- what is accepted

TEST_CASE("settings: the least that a node needs, and every default") {
  const Settings s = accepted({});
  CHECK(s.cluster == "shop");
  CHECK(s.node == "db1");  // the host name
  CHECK(s.gossip.listen == Address{"0.0.0.0", 7946});
  CHECK(s.gossip.peers.empty());
  CHECK(s.mysql.socket == "/run/mysqld/mysqld.sock");
  CHECK(s.mysql.address.empty());
  CHECK(s.mysql.password.empty());  // no password_file: unix_socket or auth_socket
  CHECK(s.replication.password.reveal() == "secret of /pw");

  Settings defaults;
  defaults.cluster = "shop";
  defaults.node = "db1";
  defaults.gossip.advertise = {"10.0.0.1", 7946};
  defaults.gossip.key_file = "/key";
  defaults.mysql.socket = "/run/mysqld/mysqld.sock";
  defaults.mysql.advertise = {"10.0.0.1", 3306};
  defaults.replication.password = Secret("secret of /pw");
  CHECK(shown(s) == shown(defaults));
}

TEST_CASE("settings: every key reaches its place") {
  const Settings s = accepted({
      "node = \"db2\"",
      "state_dir = \"/s\"",
      "socket = \"/a.sock\"",
      "gossip.listen = \"10.0.0.2:1000\"",
      "gossip.advertise = \"db2.example:1001\"",
      "gossip.peers = [\"10.0.0.1:1000\", \"[fd00::3]:1000\"]",
      "-gossip.key_file",
      "gossip.insecure = true",
      "mysql.host = \"::1\"",
      "mysql.port = 3307",
      "mysql.user = \"a\"",
      "mysql.password_file = \"/mine\"",
      "mysql.advertise = \"db2.example:3308\"",
      "mysql.tls = \"verify_ca\"",
      "mysql.ca = \"/ca1\"",
      "replication.user = \"r\"",
      "replication.password_file = \"/theirs\"",
      "replication.mode = \"gtid\"",
      "replication.tls = \"verify_ca\"",
      "replication.ca = \"/ca2\"",
      "replication.semi_sync = false",
      "replication.heartbeat_period = \"100ms\"",
      "replication.connect_retry = \"2s\"",
      "ring.initial = [\"db2\", \"db1\"]",
      "ring.role = \"spare\"",
      "ring.heartbeat_table = false",
      "ring.writers = \"all\"",
      "failure.silence = \"1s\"",
      "failure.hung_after = \"1500ms\"",
      "failure.grace = \"1m\"",
      "failure.link_grace = \"2s\"",
      "failure.on_stuck = \"bypass\"",
      "failure.max_lag = \"1h\"",
      "failure.settle = \"0ms\"",
      "failure.on_quorum_loss = \"read_only\"",
      "failure.stranded = \"hold\"",
      "failure.replay_max_age = \"1d\"",
      "http.listen = \"\"",
      "hooks.ring_changed = \"/hook\"",
      "hooks.state_file = \"\"",
      "log.level = \"warn\"",
      "log.format = \"json\"",
  });
  CHECK(shown(s) ==
        "shop|db2|/s|/a.sock|gossip 10.0.0.2:1000|db2.example:1001|10.0.0.1:1000|[fd00::3]:1000||1|mysql "
        "|[::1]:3307|a|secret of /mine|"
        "db2.example:3308|2|/ca1|replication r|secret of /theirs|gtid|2|/ca2|100000|2000000|ring db2 "
        "db1|spare|failure 1000000|1500000|"
        "60000000|2000000|1|3600000000|0|1|0|86400000000|rest -|/hook||2|1");
}

TEST_CASE("settings: where the others reach this agent is where it listens, if that is one address") {
  CHECK(accepted({"-gossip.advertise", "gossip.listen = \"10.0.0.9:7000\""}).gossip.advertise ==
        Address{"10.0.0.9", 7000});
  for (const char* all : {"0.0.0.0:7946", "[::]:7946"})
    CHECK(has(fault({"gossip.listen = \"" + std::string(all) + "\"", "-gossip.advertise"}),
              "[gossip] advertise: missing"));
  CHECK(has(fault({"gossip.advertise = \"0.0.0.0:7946\""}), "every address of this host"));
  CHECK(has(fault({"mysql.advertise = \"[::]:3306\""}), "every address of this host"));
  CHECK(has(fault({"gossip.peers = [\"0.0.0.0:7946\"]"}), "every address of a host"));
}

TEST_CASE("settings: the server is reached over a socket, or at a host and port") {
  CHECK(accepted({"mysql.host = \"db1\""}).mysql.address == Address{"db1", 3306});
  CHECK(accepted({"mysql.host = \"db1\""}).mysql.socket.empty());
  CHECK(accepted({"mysql.socket = \"/other\""}).mysql.socket == "/other");
  CHECK(has(fault({"mysql.socket = \"/x\"", "mysql.host = \"db1\""}), "[mysql] socket: contradicts host"));
  CHECK(has(fault({"mysql.socket = \"/x\"", "mysql.port = 3306"}), "[mysql] socket: contradicts port"));
  CHECK(has(faults({"mysql.port = 3306"}).at(0).text, "[mysql] host: missing"));
  CHECK(has(fault({"mysql.host = \"db1:3306\""}), "has a port in it"));
  for (const char* port : {"0", "65536", "-1", "9223372036854775807"})
    CHECK(has(fault({"mysql.port = " + std::string(port), "mysql.host = \"db1\""}), "is no port; it is 1 to 65535"));
}

TEST_CASE("settings: a witness has no server") {
  accepted({"ring.role = \"witness\"", "-mysql.advertise", "-replication.password_file"});
  const auto all = faults({"ring.role = \"leaf\"", "-mysql.advertise", "-replication.password_file"});
  REQUIRE(all.size() == 2);
  CHECK(has(all[0].text, "[mysql] advertise: missing"));
  CHECK(has(all[1].text, "[replication] password_file: missing"));
}

// ---------------------------------------------------------------- what is refused, one by one

TEST_CASE("settings: names that are none, and what was probably meant") {
  CHECK(fault({"clutser = \"x\""}) == "clutser: there is no such key; did you mean cluster?");
  CHECK(fault({"failure.silense = \"1s\""}) == "[failure] silense: there is no such key; did you mean silence?");
  CHECK(fault({"ring.silence = \"1s\""}) == "[ring] silence: there is no such key here; it stands in [failure]");
  CHECK(fault({"log.qqqq = 1"}) == "[log] qqqq: there is no such key; known here: level, format");
  CHECK(fault({"failures.silence = \"1s\""}) == "[failures]: there is no such section; did you mean [failure]?");
  CHECK(has(fault({"qqqq.a = 1"}), "[qqqq]: there is no such section; known are gossip, mysql, replication"));
  CHECK(has(fault({"hooks = \"x\""}), "hooks: is a string; it is a section: write [hooks]"));
  CHECK(has(fault({"\"a\\u001bb\" = 1"}),
            "a?b: there is no such key"));  // nothing from the file gets to the terminal as it is
}

TEST_CASE("settings: a wrong type is named together with the right one") {
  for (const auto& key : settings_keys()) {
    const std::string path = key.section.empty() ? key.name : key.section + "." + key.name;
    const auto all = faults({path + " = 2021-01-01"});
    REQUIRE_MESSAGE(!all.empty(), path);
    CHECK_MESSAGE(all[0].line == 1, path);
    const std::string label = key.section.empty() ? key.name : "[" + key.section + "] " + key.name;
    CHECK_MESSAGE(all[0].text.starts_with(label + ": is a date or time; it must be "), all[0].text);
    CHECK_MESSAGE(all[0].text.ends_with("as in " + key.name + " = " + key.value), all[0].text);
  }
  CHECK(has(fault({"failure.silence = 2500"}),
            "is an integer; it must be a string with a unit, as in silence = \"2500ms\""));
  CHECK(has(fault({"gossip.peers = \"10.0.0.1:1\""}), "is a string; it must be a list of strings"));
  CHECK(has(fault({"gossip.peers = [\"10.0.0.1:1\", 3]"}), "holds an integer"));
  CHECK(has(fault({"ring.heartbeat_table = \"yes\""}), "is a string; it must be true or false"));
}

TEST_CASE("settings: limits, at their edges") {
  struct Limit {
    const char* key;
    const char* least;
    const char* most;
    const char* less;
    const char* more;
  };
  for (const Limit& limit : std::vector<Limit>{
           {"failure.silence", "500ms", "60s", "499ms", "60001ms"},
           {"failure.hung_after", "500ms", "10m", "499999us", "11m"},
           {"failure.grace", "0ms", "10m", nullptr, "600001ms"},
           {"failure.link_grace", "500ms", "10m", "499ms", "1h"},
           {"failure.max_lag", "1s", "7d", "999ms", "8d"},
           {"failure.settle", "0s", "10m", nullptr, "601s"},
           {"failure.replay_max_age", "0ms", "30d", nullptr, "31d"},
           {"replication.heartbeat_period", "100ms", "29s", "99ms", "31s"},
           {"replication.connect_retry", "1s", "60s", "0s", "61s"},
       }) {
    const std::string key = limit.key;
    Lines others;
    if (key == "failure.silence" || key == "failure.hung_after") others = {"replication.heartbeat_period = \"100ms\""};
    if (key == "replication.heartbeat_period") others = {"failure.silence = \"60s\"", "failure.hung_after = \"1m\""};
    const auto with = [&](const char* value) {
      Lines out = {key + " = \"" + value + "\""};
      out.insert(out.end(), others.begin(), others.end());
      return out;
    };
    accepted(with(limit.least));
    accepted(with(limit.most));
    for (const char* wrong : {limit.less, limit.more}) {
      if (wrong != nullptr) CHECK_MESSAGE(has(fault(with(wrong)), "is out of range; it is "), key << " " << wrong);
    }
  }
  CHECK(accepted({"failure.max_lag = \"0s\""}).failure.max_lag == 0s);
  CHECK(has(fault({"failure.settle = \"1500us\""}), "must be a multiple of 1ms"));
  CHECK(has(fault({"replication.connect_retry = \"1500ms\""}), "must be a multiple of 1s"));
  CHECK(has(fault({"failure.grace = \"30\""}), "\"30\" is no duration"));
  CHECK(has(fault({"failure.grace = \"-1s\""}), "\"-1s\" is no duration"));
  CHECK(accepted({"socket = \"/" + std::string(106, 's') + "\""}).socket.size() == 107);
  CHECK(has(fault({"socket = \"/" + std::string(107, 's') + "\""}), "at most 107"));
}

TEST_CASE("settings: names, addresses and words") {
  CHECK(has(fault({"cluster = \"\""}), "is empty"));
  for (const char* bad : {"a b", "a/b", "a\\nb", "-a", ".a", "ä"}) fault({"cluster = \"" + std::string(bad) + "\""});
  accepted({"cluster = \"Shop_1.a-b\""});
  accepted({"cluster = \"" + std::string(255, 'a') + "\""});
  CHECK(has(fault({"cluster = \"" + std::string(256, 'a') + "\""}), "longer than 255"));
  CHECK(has(fault({"gossip.advertise = \"10.0.0.1\""}), "has no port"));
  CHECK(has(fault({"gossip.peers = [\"10.0.0.1:7946\", \"10.0.0.1:7946\"]"}), "names \"10.0.0.1:7946\" twice"));
  CHECK(fault({"log.level = \"loud\""}) ==
        "[log] level: \"loud\" is not known; it is one of \"debug\", \"info\", \"warn\", \"error\"");
  for (const char* key : {"ring.role", "ring.writers", "replication.mode", "replication.tls", "mysql.tls",
                          "failure.on_stuck", "failure.on_quorum_loss", "failure.stranded", "log.format"})
    CHECK(has(fault({std::string(key) + " = \"x\""}), "\"x\" is not known; it is one of"));
}

TEST_CASE("settings: what a later version will have is refused, not ignored") {
  CHECK(has(fault({"replication.mode = \"position\""}), "[replication] mode: \"position\" is not in this version yet"));
  CHECK(has(fault({"replication.semi_sync = true"}), "[replication] semi_sync: true is not in this version yet"));
  CHECK(has(fault({"ring.heartbeat_table = true"}), "[ring] heartbeat_table: true is not in this version yet"));
}

TEST_CASE("settings: one writer") {
  CHECK_FALSE(accepted({}).ring.one_writer);
  CHECK(accepted({"ring.writers = \"one\""}).ring.one_writer);
  CHECK(settings_fingerprint(accepted({"ring.writers = \"one\""})) != settings_fingerprint(accepted({})));
}

TEST_CASE("settings: contradictions") {
  CHECK(has(fault({"gossip.insecure = true"}), "[gossip] insecure: contradicts key_file"));
  CHECK(has(faults({"gossip.insecure = false", "-gossip.key_file"}).at(0).text, "[gossip] key_file: missing"));
  CHECK(has(fault({"failure.silence = \"1s\""}),
            "silence (1s) must be longer than two heartbeats (heartbeat_period is 500ms)"));
  CHECK(has(fault({"replication.heartbeat_period = \"1250ms\""}),
            "[replication] heartbeat_period: silence (2500ms) must be longer"));
  accepted({"replication.heartbeat_period = \"1249ms\""});
  CHECK(has(fault({"failure.hung_after = \"1s\""}), "[failure] hung_after: hung_after (1s) must be longer than two"));
  accepted({"failure.hung_after = \"1001ms\""});
  CHECK(has(fault({"http.listen = \"127.0.0.1:7946\""}), "port 7946 is that of [gossip] listen"));
  accepted({"http.listen = \"127.0.0.1:7946\"", "gossip.listen = \"10.0.0.1:7946\""});
  for (const char* section : {"mysql", "replication"}) {
    const std::string name = section;
    CHECK(has(fault({name + ".ca = \"/ca\""}), "is used with tls = \"verify_ca\" only"));
    CHECK(has(fault({name + ".ca = \"/ca\"", name + ".tls = \"required\""}), "is used with tls = \"verify_ca\" only"));
    CHECK(has(faults({name + ".tls = \"verify_ca\""}).at(0).text, "ca: missing"));
    accepted({name + ".tls = \"required\""});
  }
}

TEST_CASE("settings: the node stands in the list that forms the ring") {
  accepted({"ring.initial = []"});
  accepted({"ring.initial = [\"db1\"]"});
  CHECK(fault({"ring.initial = [\"db2\", \"db3\"]"}) ==
        "[ring] initial: does not name this node, \"db1\" (its host name); it names every node of the ring, or none");
  CHECK(has(fault({"ring.initial = [\"db2\", \"db3\"]", "node = \"x\""}), "does not name this node, \"x\"; it"));
  CHECK(has(fault({"ring.initial = [\"db1\", \"db1\"]"}), "names \"db1\" twice"));
  CHECK(has(fault({"ring.initial = [\"db1\", \"d b\"]"}), "\"d b\" must consist of"));
}

TEST_CASE("settings: a host name that is no node name is asked for") {
  const auto refused = parse_settings(file({}), machine("db 1"));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().size() == 1);
  CHECK(has(refused.error()[0].text, "node: missing, and the host name \"db 1\" must consist of"));
  CHECK_FALSE(parse_settings(file({}), machine("")));
}

// ---------------------------------------------------------------- all at once

TEST_CASE("settings: all faults at once, in the order of the lines, each once") {
  const auto all = parse_settings(
      "cluster = 7\n"                   // 1
      "colour = \"red\"\n"              // 2
      "[gossip]\n"                      // 3: no key_file
      "listen = \"nowhere\"\n"          // 4
      "[mysql]\n"                       // 5: no advertise
      "password_file = \"/missing\"\n"  // 6
      "[ring]\n"                        // 7
      "initial = [\"db1\",\n"           // 8
      "  \"db1\",\n"                    // 9
      "  4]\n"                          // 10
      "writers = \"two\"\n"             // 11
      "[failure]\n"                     // 12
      "silence = \"2500\"\n"            // 13
      "[elsewhere]\n",                  // 14
      machine());
  REQUIRE_FALSE(all);
  std::vector<std::size_t> lines;
  for (const auto& fault : all.error()) lines.push_back(fault.line);
  CHECK(lines == std::vector<std::size_t>{0, 1, 2, 3, 4, 5, 6, 9, 10, 11, 13, 14});
  CHECK(has(all.error()[0].text, "[replication] password_file: missing"));  // there is no such section to point at
}

TEST_CASE("settings: a file that is no TOML has one fault, where it breaks") {
  for (const char* text :
       {"cluster = \"a\"\nnode = \n", "cluster = \"a\"\ncluster = \"b\"\n", "cluster = \"a\"\n[gossip\n"}) {
    const auto refused = parse_settings(text, machine());
    REQUIRE_FALSE(refused);
    REQUIRE(refused.error().size() == 1);
    CHECK(refused.error()[0].line == 2);
    CHECK(has(refused.error()[0].text, "this is no TOML: "));
  }
  const auto latin = parse_settings(
      "# gr\xf6\xdf"
      "er\n",
      machine());
  REQUIRE_FALSE(latin);
  CHECK(has(latin.error().at(0).text, "this is no TOML: Encountered invalid utf-8"));
  CHECK_FALSE(parse_settings("", machine()));
}

TEST_CASE("settings: a letter that TOML has no place for is a fault of the file, not of the agent") {
  for (const char* text : {"\n[:]\n", "\n[[[gossip]]]\n", "\nnode = \xc3\xa4\n", "\n\xc2\xa7\n"}) {
    const auto refused = parse_settings(text, machine());
    REQUIRE_FALSE(refused);
    CHECK(refused.error().at(0).line == 2);
    CHECK(has(refused.error().at(0).text, "this is no TOML: "));
  }
  CHECK(accepted({"hooks.state_file = \"\"\"\\\n\xc2\xa7\"\"\""}).state_file == "\xc2\xa7");
}

TEST_CASE("settings: a value that is quoted in a fault does not break its line") {
  CHECK(has(fault({"gossip.listen = \"db1\\n\\u001b[2J:7\""}), "\"db1??[2J:7\""));
  CHECK(has(fault({"failure.silence = \"3\\ns\""}), "\"3?s\""));
}

TEST_CASE("settings: whatever is done to the file, it is read or refused") {
  const std::string whole =
      file({"ring.initial = [\"db1\", \"db2\"]", "mysql.port = 3306", "mysql.host = \"h\"", "gossip.insecure = false"});
  for (std::size_t at = 0; at < whole.size(); ++at) {
    CHECK_NOTHROW(parse_settings(whole.substr(0, at), machine()));
    for (const char c : {'\0', '"', '[', '{', '\n', '.', '=', '\xff'}) {
      std::string damaged = whole;
      damaged[at] = c;
      const auto read = parse_settings(damaged, machine());
      if (!read) CHECK(!read.error().empty());
    }
  }
}

// ---------------------------------------------------------------- files

TEST_CASE("settings: a secret stands in a file that others cannot read") {
  const TempDir dir;
  const auto secret = [&](const std::string& text, mode_t mode) {
    const std::string path = dir / "secret";
    ::unlink(path.c_str());
    std::ofstream(path) << text;
    REQUIRE(::chmod(path.c_str(), mode) == 0);
    return this_host().read_secret_file(path);
  };
  CHECK(*secret("pass word\n", 0600) == "pass word");
  CHECK(*secret("x", 0640) == "x");
  CHECK(*secret("x\r\n", 0660) == "x");
  CHECK(*secret(" x ", 0400) == " x ");
  for (const mode_t open : {0604U, 0602U, 0601U, 0644U, 0666U})
    CHECK(has(secret("x\n", open).error().text, "is open to everybody (mode 0"));
  CHECK(has(secret("x\n", 0644).error().text, "(mode 0644); chmod 0640 it"));
  CHECK(has(secret("", 0600).error().text, "is empty"));
  CHECK(has(secret("\n", 0600).error().text, "is empty"));
  CHECK(*secret("a\nb\n", 0600) == "a\nb");
  CHECK(has(secret(std::string(5000, 'x'), 0600).error().text, "larger than 4096 bytes"));
  CHECK(has(this_host().read_secret_file(dir.str()).error().text, "is no regular file"));
  const std::string gone = dir / "gone";
  CHECK(this_host().read_secret_file(gone).error().text == gone + " cannot be read: No such file or directory");
}

TEST_CASE("settings: a password is one line, a key file may have several") {
  for (const char* key : {"[mysql] password_file", "[replication] password_file"}) {
    const std::string section = std::string(key).substr(1, std::string(key).find(']') - 1);
    CHECK(fault({section + ".password_file = \"/lines\""}) ==
          std::string(key) + ": /lines holds more than one line; it holds the password and nothing else");
  }
  CHECK(accepted({"gossip.key_file = \"/lines\""}).gossip.key_file == "/lines");
}

TEST_CASE("settings: a secret that cannot be read is a fault of the key that names it, and is never shown") {
  CHECK(fault({"gossip.key_file = \"/missing/key\""}) ==
        "[gossip] key_file: /missing/key cannot be read: No such file or directory");
  CHECK(fault({"mysql.password_file = \"/missing/pw\""}) ==
        "[mysql] password_file: /missing/pw cannot be read: No such file or directory");
  CHECK(has(fault({"mysql.password_file = \"\""}), "is empty"));
  for (const auto& each : faults({"mysql.password_file = \"/pw\"", "mysql.tls = \"x\""}))
    CHECK_FALSE(has(each.text, "secret of"));
}

TEST_CASE("settings: read from a file") {
  const TempDir dir;
  const std::string path = dir / "ringagent.toml";
  const std::string password = dir / "pw";
  std::ofstream(password) << "geheim\n";
  REQUIRE(::chmod(password.c_str(), 0600) == 0);
  std::ofstream(path) << file(
      {"node = \"db1\"", "replication.password_file = \"" + password + "\"", "gossip.key_file = \"" + password + "\""});
  const auto settings = load_settings(path);
  REQUIRE(settings);
  CHECK(settings->replication.password.reveal() == "geheim");

  const auto gone = load_settings(dir / "gone.toml");
  REQUIRE_FALSE(gone);
  CHECK(gone.error() == std::vector<SettingsFault>{{0, "cannot be read: No such file or directory"}});
  CHECK(load_settings(dir.str()).error().at(0).text == "cannot be read: Is a directory");
  CHECK_FALSE(this_host().host_name().empty());
}

// ---------------------------------------------------------------- one list of keys

TEST_CASE("settings: the sample is what the package installs, and it is right") {
  CHECK(contents(RINGAGENT_SOURCE_DIR "/config/dist/ringagent.toml") == sample_config());
  const auto settings = parse_settings(sample_config(), machine());
  REQUIRE(settings);
  CHECK(settings->ring.initial == std::vector<std::string>{"db1", "db2", "db3", "db4"});
  CHECK(settings->gossip.peers.size() == 3);
}

TEST_CASE("settings: what the sample calls a default is the default") {
  const auto without = parse_settings(sample_config(), machine());
  REQUIRE(without);
  for (const auto& key : settings_keys()) {
    if (!key.has_default || key.name == "port") continue;  // a port alone, without a host, is no setting
    std::string text = sample_config();
    const std::string line = "\n#" + key.name + " = " + key.value + "\n";
    const std::size_t section = key.section.empty() ? 0 : text.find("\n[" + key.section + "]\n");
    const std::size_t at = text.find(line, section);
    REQUIRE_MESSAGE(at != std::string::npos, key.name);
    text.erase(at + 1, 1);
    const auto with = parse_settings(text, machine());
    REQUIRE_MESSAGE(with, key.name);
    CHECK_MESSAGE(shown(*with) == shown(*without), key.name);
  }
}

TEST_CASE("settings: the sample explains every key in lines that fit a screen") {
  std::istringstream sample(sample_config());
  for (std::string line; std::getline(sample, line);) CHECK_MESSAGE(line.size() <= 130, line);
  for (const auto& key : settings_keys()) {
    CHECK_FALSE(key.comment.empty());
    CHECK_FALSE((key.fill_in && key.has_default));
  }
}

TEST_CASE("settings: the fingerprint is of what must be equal on all nodes") {
  const auto print = [](const Lines& lines) { return settings_fingerprint(accepted(lines)); };
  const std::uint64_t plain = print({});
  for (const char* own :
       {"node = \"db7\"", "gossip.advertise = \"10.0.0.7:7946\"", "mysql.user = \"x\"", "log.level = \"debug\"",
        "replication.password_file = \"/other\"", "ring.role = \"spare\"", "http.listen = \"\""})
    CHECK_MESSAGE(print({own}) == plain, own);
  for (const char* common :
       {"cluster = \"x\"", "ring.initial = [\"db1\"]", "replication.mode = \"gtid\"",
        "replication.heartbeat_period = \"400ms\"", "failure.silence = \"2s\"", "failure.hung_after = \"2s\"",
        "failure.grace = \"1ms\"", "failure.link_grace = \"4s\"", "failure.on_stuck = \"bypass\"",
        "failure.max_lag = \"1s\"", "failure.settle = \"2s\"", "failure.on_quorum_loss = \"read_only\"",
        "failure.stranded = \"hold\"", "failure.replay_max_age = \"9m\""})
    CHECK_MESSAGE(print({common}) != plain, common);
  CHECK(print({"ring.initial = [\"db1\", \"db2\"]"}) != print({"ring.initial = [\"db2\", \"db1\"]"}));
  CHECK(plain == print({}));
}
