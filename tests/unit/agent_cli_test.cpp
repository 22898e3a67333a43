#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <sstream>

#include "agent/api.h"
#include "agent/cli.h"
#include "agent_samples.h"
#include "temp_dir.h"

using namespace ringagent;
using nlohmann::json;

namespace {

struct Said {
  int code = 0;
  std::string out;
  std::string err;
};

Said say(std::vector<std::string> arguments) {
  std::ostringstream out, err;
  const int code = run_cli(std::move(arguments), out, err);
  return {code, out.str(), err.str()};
}

std::size_t lines(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

// An agent that has a socket, a history and a snapshot, but no loop: it answers each command as it is told.
struct Agent {
  TempDir dir;
  std::string socket = dir / "agent.sock";
  std::unique_ptr<History> history = *History::open(dir / "history.jsonl");
  std::vector<Command> commands;
  bool accepts = true;
  std::unique_ptr<Api> api = *Api::start({socket, {}}, *history, [this](const Command& command) {
    commands.push_back(command);
    api->reply({command.id, accepts, accepts ? "paused" : "no ring has been formed yet"});
  });

  explicit Agent(const Snapshot& snapshot = samples::healthy(4)) { show(snapshot); }
  void show(const Snapshot& snapshot) { api->publish(std::make_shared<Snapshot>(snapshot)); }
  Said ask(std::vector<std::string> words) {
    words.insert(words.end(), {"--socket", socket});
    return say(std::move(words));
  }
};

}  // namespace

TEST_CASE("cli: wrong input is one line that says what would be right, and 64") {
  for (const auto& [words, part] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{}, "which command? There are: status, watch"},
           {{"stauts"}, "there is no command `stauts`; there are: status"},
           {{"writer"}, "node"},
           {{"stranded"}, "what"},
           {{"stranded", "replay"}, "of which node"},
           {{"stranded", "look", "db3"}, "say show, replay or discard"},
           {{"join"}, "address"},
           {{"join", "db1"}, "such as 10.0.0.1:7946"},
           {{"join", "db1:7946", "--role", "witness"}, "ring, leaf or spare"},
           {{"join", "db1:7946", "--data", "some"}, "auto or none"},
           {{"join", "db1:7946", "--method", "rsync"}, "auto, clone or dump"},
           {{"reseed", "--method", "rsync"}, "auto, clone or dump"},
           {{"maintenance", "db3", "of"}, "say on or off"},
           {{"maintenance", "db3"}, "state"},
           {{"remove"}, "node"},
           {{"order"}, "nodes"},
           {{"status", "--jsn"}, "--jsn"},
           {{"history", "-n", "many"}, "many"},
           {{"--socket"}, "--socket"},
           {{"pause", "--for", "30"}, "30m"},
           {{"pause", "--for", "0s"}, "no length"},
           {{"watch", "--interval", "x"}, "\"x\" is no duration"}}) {
    const Said said = say(words);
    CHECK(said.code == kExitUsage);
    CHECK(said.out.empty());
    CHECK(lines(said.err) == 1);
    CHECK_MESSAGE(said.err.find(part) != std::string::npos, said.err);
  }
}

TEST_CASE("cli: each command has help with an example") {
  CHECK(say({"--help"}).code == kExitOk);
  for (const char* command : {"run", "init", "join", "reseed", "status", "watch", "check", "plan", "history", "setup",
                              "pause", "resume", "key", "keygen", "version"}) {
    const Said said = say({command, "--help"});
    CHECK(said.code == kExitOk);
    CHECK_MESSAGE(said.out.find("Example: ringagent " + std::string(command)) != std::string::npos, said.out);
  }
}

TEST_CASE("cli: status exits with the health") {
  Agent agent;
  const Said well = agent.ask({"status"});
  CHECK(well.code == 0);
  CHECK(well.out.starts_with("shop: ok"));
  CHECK(well.err.empty());
  Snapshot s = samples::healthy(4);
  s.health = "degraded";
  agent.show(s);
  CHECK(agent.ask({"status"}).code == 1);
  agent.show(samples::broken());
  const Said broken = agent.ask({"status", "--json"});
  CHECK(broken.code == 2);
  CHECK(json::parse(broken.out)["health"] == "critical");
}

TEST_CASE("cli: nobody there is 3 and one line") {
  const TempDir dir;
  for (const char* command : {"status", "plan", "history", "pause", "resume"}) {
    const Said said = say({command, "--socket", dir / "agent.sock"});
    CHECK(said.code == kExitNoAgent);
    CHECK(said.out.empty());
    CHECK(lines(said.err) == 1);
  }
}

TEST_CASE("cli: the socket may be named before the command, too") {
  Agent agent;
  CHECK(say({"--socket", agent.socket, "status"}).code == 0);
  CHECK(say({"--socket", agent.socket, "stauts"}).err.find("`stauts`") != std::string::npos);
}

TEST_CASE("cli: a config that was named must be readable and right") {
  const TempDir dir;
  CHECK(say({"status", "--config", dir / "missing.toml"}).code == kExitConfig);
  std::ofstream(dir / "bad.toml") << "cluster = 5\nnonsense = true\n";
  const Said said = say({"run", "--config", dir / "bad.toml"});
  CHECK(said.code == kExitConfig);
  CHECK(lines(said.err) >= 2);
  CHECK(said.err.find("bad.toml:2: ") != std::string::npos);
}

TEST_CASE("cli: history for people and for programs") {
  Agent agent;
  HistoryEntry entry;
  entry.kind = "epoch";
  entry.epoch = 7;
  entry.what = "db3 out";
  REQUIRE(agent.history->add(entry, std::chrono::system_clock::now()));
  CHECK(agent.ask({"history"}).out.find("epoch 7: db3 out\n") != std::string::npos);
  CHECK(json::parse(agent.ask({"history", "--json", "-n", "100000"}).out).size() == 1);
  CHECK(json::parse(agent.ask({"history", "--json", "-n", "0"}).out).empty());
}

TEST_CASE("cli: plan") {
  Snapshot s = samples::healthy(4);
  s.plan = {"STOP SLAVE", "START SLAVE"};
  Agent agent(s);
  CHECK(agent.ask({"plan"}).out == "STOP SLAVE;\nSTART SLAVE;\n");
}

TEST_CASE("cli: pause and resume say what came of it") {
  Agent agent;
  const Said paused = agent.ask({"pause", "--for", "30m", "--reason", "disks"});
  CHECK(paused.code == 0);
  CHECK(paused.out == "paused\n");
  REQUIRE(agent.commands.size() == 1);
  CHECK(agent.commands[0].name == "pause");
  CHECK(agent.commands[0].arguments ==
        std::vector<std::pair<std::string, std::string>>{{"reason", "disks"}, {"for_ms", "1800000"}});
  agent.accepts = false;
  const Said refused = agent.ask({"resume"});
  CHECK(refused.code == kExitRefused);
  CHECK(refused.err == "ringagent: no ring has been formed yet\n");
}

TEST_CASE("cli: init gives up an older vote, and waits for nothing") {
  Agent agent;
  CHECK(agent.ask({"init", "--abandon-formation"}).code == 0);
  REQUIRE(agent.commands.size() == 1);
  CHECK(agent.commands[0].name == "init");
  CHECK(agent.commands[0].arguments == std::vector<std::pair<std::string, std::string>>{{"abandon", "1"}});
}

TEST_CASE("cli: init says what the next node types") {
  Snapshot s = samples::healthy(1);
  s.nodes[0].gossip_address = "10.0.0.1:7946";
  Agent agent(s);
  const Said said = agent.ask({"init"});
  CHECK(said.code == 0);
  CHECK(said.out.find("the next node joins with: ringagent join 10.0.0.1:7946\n") != std::string::npos);
  REQUIRE(agent.commands.size() == 1);
  CHECK(agent.commands[0].name == "init");
  agent.accepts = false;
  CHECK(agent.ask({"init"}).code == kExitRefused);
}

TEST_CASE("cli: join and reseed need the config and the server, before they ask for anything") {
  Agent agent;
  for (const auto& words : std::vector<std::vector<std::string>>{{"join", "db1:7946"}, {"reseed", "--yes"}}) {
    auto with_config = words;
    with_config.insert(with_config.end(), {"--config", agent.dir / "missing.toml"});
    CHECK(agent.ask(with_config).code == kExitConfig);
    std::ofstream(agent.dir / "secret") << "hunter2\n";
    ::chmod((agent.dir / "secret").c_str(), 0600);
    std::ofstream(agent.dir / "ringagent.toml")
        << "cluster = \"shop\"\nnode = \"db2\"\n[gossip]\ninsecure = true\nadvertise = \"10.0.0.2:7946\"\n"
        << "[mysql]\nsocket = \"" << (agent.dir / "mysqld.sock") << "\"\nadvertise = \"10.0.0.2:3306\"\n"
        << "[replication]\npassword_file = \"" << (agent.dir / "secret") << "\"\n";
    with_config.back() = agent.dir / "ringagent.toml";
    const Said said = agent.ask(with_config);
    CHECK_MESSAGE(said.code == kExitRefused, said.err);
    CHECK(said.err.find("--mysql-socket") != std::string::npos);
  }
  CHECK(agent.commands.empty());
}

TEST_CASE("cli: a key is new each time, and its file is private and never overwritten") {
  const TempDir dir;
  const Said one = say({"keygen"});
  CHECK(one.code == 0);
  CHECK(lines(one.out) == 1);
  CHECK(one.out != say({"keygen"}).out);
  CHECK(say({"keygen", "--out", dir / "gossip.key"}).code == 0);
  struct stat st {};
  REQUIRE(::stat((dir / "gossip.key").c_str(), &st) == 0);
  CHECK((st.st_mode & 0777) == 0600);
  CHECK(st.st_size == static_cast<off_t>(one.out.size()));
  const Said again = say({"keygen", "--out", dir / "gossip.key"});
  CHECK(again.code == kExitRefused);
  CHECK(again.err.find("exists") != std::string::npos);
}

TEST_CASE("cli: a key goes to the agent from a file, and its text is told to nobody else") {
  Agent agent;
  const TempDir dir;
  REQUIRE(say({"keygen", "--out", dir / "new.key"}).code == 0);
  std::ifstream in(dir / "new.key");
  std::string key;
  std::getline(in, key);
  const Said said = agent.ask({"key", "install", dir / "new.key"});
  CHECK_MESSAGE(said.code == 0, said.err);
  CHECK((said.out + said.err).find(key) == std::string::npos);
  CHECK(agent.ask({"key", "use", "1f0c9a3e"}).out.find("key_file") != std::string::npos);
  CHECK(agent.ask({"key", "remove", "6b27d1f4", "--force"}).code == 0);
  REQUIRE(agent.commands.size() == 3);
  using Arguments = std::vector<std::pair<std::string, std::string>>;
  CHECK(agent.commands[0].name == "key-install");
  CHECK(agent.commands[0].arguments == Arguments{{"key", key}});
  CHECK(agent.commands[1].name == "key-use");
  CHECK(agent.commands[1].arguments == Arguments{{"key", "1f0c9a3e"}});
  CHECK(agent.commands[2].name == "key-remove");
  CHECK(agent.commands[2].arguments == Arguments{{"key", "6b27d1f4"}, {"force", "1"}});
  agent.accepts = false;
  CHECK(agent.ask({"key", "remove", "6b27d1f4"}).code == kExitRefused);
}

TEST_CASE("cli: what is no key file is refused before anybody is asked") {
  Agent agent;
  const TempDir dir;
  std::ofstream(dir / "bad.key") << "hunter2\n";
  std::ofstream(dir / "two.key") << say({"keygen"}).out << say({"keygen"}).out;
  for (const auto& [words, part] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"key", "install", dir / "bad.key"}, "line 1: not a key"},
           {{"key", "install", dir / "two.key"}, "holds 2 keys"},
           {{"key", "install", dir / "none.key"}, "cannot read"},
           {{"key", "install"}, "file"},
           {{"key", "use"}, "fingerprint"},
           {{"key", "lock"}, "knows: list, install, use, remove"},
           {{"key"}, "knows: list, install, use, remove"}}) {
    const Said said = agent.ask(words);
    CHECK(said.code == kExitUsage);
    CHECK(lines(said.err) == 1);
    CHECK(said.err.find("hunter2") == std::string::npos);
    CHECK_MESSAGE(said.err.find(part) != std::string::npos, said.err);
  }
  CHECK(agent.commands.empty());
}

TEST_CASE("cli: key list shows who has what") {
  Snapshot s = samples::healthy(4);
  s.nodes[0].keys = {"1f0c9a3e", "6b27d1f4"};
  s.nodes[1].keys = {"6b27d1f4"};
  Agent agent(s);
  const Said said = agent.ask({"key", "list"});
  CHECK(said.code == 0);
  CHECK(said.out ==
        "node  agent    keys (* in use)\n"
        "db1   alive    *1f0c9a3e  6b27d1f4\n"
        "db2   alive    *6b27d1f4\n"
        "db3   alive    not known\n"
        "db4   alive    not known\n");
}

TEST_CASE("cli: check reports a bad config as findings") {
  const TempDir dir;
  std::ofstream(dir / "bad.toml") << "cluster = 5\nnonsense = true\n";
  const Said said = say({"check", "--json", "--config", dir / "bad.toml"});
  CHECK(said.code == 2);
  const json findings = json::parse(said.out)["findings"];
  REQUIRE(findings.size() >= 2);
  CHECK(findings[0]["where"] == "config");
  CHECK(findings[0]["severity"] == "error");
  CHECK(say({"check", "--config", dir / "bad.toml"}).out.find("errors, 0 warnings\n") != std::string::npos);
}

TEST_CASE("cli: setup prints SQL and a snippet without a server, and no password in it") {
  const TempDir dir;
  std::ofstream(dir / "secret") << "hunter2\n";
  ::chmod((dir / "secret").c_str(), 0600);
  std::ofstream(dir / "ringagent.toml") << "cluster = \"shop\"\nnode = \"db2\"\n"
                                        << "[gossip]\ninsecure = true\nadvertise = \"10.0.0.2:7946\"\n"
                                        << "peers = [\"10.0.0.1:7946\"]\n"
                                        << "[mysql]\nsocket = \"" << (dir / "mysqld.sock") << "\"\n"
                                        << "advertise = \"10.0.0.2:3306\"\n"
                                        << "[replication]\npassword_file = \"" << (dir / "secret") << "\"\n"
                                        << "[ring]\ninitial = [\"db1\", \"db2\"]\n";
  const Said said =
      say({"setup", "--print", "--server-version", "10.11.6-MariaDB", "--config", dir / "ringagent.toml"});
  CHECK_MESSAGE(said.code == 0, said.err);
  CHECK(said.out.find("CREATE USER IF NOT EXISTS 'ringagent'@'localhost' IDENTIFIED VIA unix_socket") !=
        std::string::npos);
  CHECK(said.out.find("server_id = 2") != std::string::npos);
  CHECK(said.out.find("hunter2") == std::string::npos);
  CHECK(said.out.find("***") != std::string::npos);
  const Said unreachable = say({"setup", "--config", dir / "ringagent.toml"});
  CHECK(unreachable.code == kExitRefused);
  CHECK(lines(unreachable.err) == 1);
}

TEST_CASE("cli: version names the client library") {
  const Said said = say({"version"});
  CHECK(said.code == 0);
  CHECK(said.out.find("client library: ") != std::string::npos);
  CHECK(say({"--version"}).out == said.out);
}

TEST_CASE(
    "cli: stranded: who is in has nothing, a server that is down cannot be read, and nobody is asked through a pipe") {
  Snapshot snapshot = samples::healthy(4);
  Agent agent(snapshot);
  CHECK(agent.ask({"stranded", "db9"}).err.find("the members are db1, db2, db3, db4") != std::string::npos);
  CHECK(agent.ask({"stranded", "show", "db3"}).code == kExitRefused);
  CHECK(agent.ask({"stranded", "replay", "db3", "--yes"}).err ==
        "ringagent: db3 is in the ring: nothing is stranded on it\n");
  NodeView& node = snapshot.nodes[2];
  node.in = false;
  agent.show(snapshot);
  CHECK(agent.ask({"stranded", "db3"}).out == "nothing is stranded on db3\n");
  CHECK(json::parse(agent.ask({"stranded", "db3", "--json"}).out)["safe"] == true);
  CHECK(agent.ask({"stranded", "discard", "db3"}).err == "ringagent: nothing is stranded on db3\n");
  node.stranded = 3;
  node.stranded_set = "3-3-107..109";
  node.mysql = "down";
  agent.show(snapshot);
  const std::string missing = agent.dir / "missing.toml";
  CHECK(agent.ask({"stranded", "db3", "--config", missing}).code == kExitConfig);
  std::ofstream(agent.dir / "secret") << "hunter2\n";
  ::chmod((agent.dir / "secret").c_str(), 0600);
  const std::string config = agent.dir / "ringagent.toml";
  std::ofstream(config)
      << "cluster = \"shop\"\nnode = \"db1\"\n[gossip]\ninsecure = true\nadvertise = \"10.0.0.1:7946\"\n"
      << "[mysql]\nsocket = \"/none\"\nadvertise = \"10.0.0.1:3306\"\n[replication]\npassword_file = \""
      << (agent.dir / "secret") << "\"\n[ring]\ninitial = [\"db1\", \"db2\"]\n";
  const Said down = agent.ask({"stranded", "show", "db3", "--config", config});
  CHECK(down.code == kExitRefused);
  CHECK(down.err.find("the MySQL of db3 is down: it must run") != std::string::npos);
  CHECK(agent.ask({"stranded", "replay", "db3", "--config", config}).err.find("--yes") != std::string::npos);
  CHECK(agent.commands.empty());
  CHECK(agent.ask({"stranded", "replay", "db3", "--yes", "--no-wait", "--config", config}).code == kExitOk);
  REQUIRE(agent.commands.size() == 1);
  CHECK(agent.commands[0].name == "stranded");
  CHECK(agent.commands[0].arguments ==
        std::vector<std::pair<std::string, std::string>>{{"node", "db3"}, {"action", "replay"}});
  node.mysql = "up";
  agent.show(snapshot);
  const Said no_tool = agent.ask({"stranded", "db3", "--config", config, "--binlog-tool", "/none/such"});
  CHECK(no_tool.err == "ringagent: /none/such is no program that can be run (--binlog-tool)\n");
}
