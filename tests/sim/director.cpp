#include "tests/sim/director.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <sstream>

namespace ringagent::sim {
namespace {

double share(const std::string& text) {
  if (text.empty() || text.back() != '%') throw Failure{"\"" + text + "\" is no share; 20% is"};
  return std::strtod(text.c_str(), nullptr) / 100;
}

std::size_t count(const Words& words, std::size_t at) {
  return static_cast<std::size_t>(std::strtoull(words.at(at).c_str(), nullptr, 10));
}

std::vector<std::vector<std::string>> groups_of(const World& world, const Words& words, std::size_t from) {
  std::vector<std::vector<std::string>> groups(1);
  for (std::size_t i = from; i < words.size(); ++i) {
    if (words[i] == "|")
      groups.emplace_back();
    else
      groups.back().push_back(host_at(world, words, i));
  }
  return groups;
}

World::Net net_of(const std::string& word) {
  if (word == "agents") return World::Net::agents;
  return word == "databases" ? World::Net::databases : World::Net::both;
}

// ---------------------------------------------------------------- processes

using OnHost = std::function<void(World&, const std::string& host, const Words& words)>;

const std::map<std::string, OnHost>& deeds() {
  static const std::map<std::string, OnHost> all = {
      {"kill mysqld", [](World& w, const std::string& h, const Words&) { w.kill_server(h); }},
      {"start mysqld", [](World& w, const std::string& h, const Words&) { w.start_server(h); }},
      {"stop mysqld", [](World& w, const std::string& h, const Words&) { w.server(h).shut_down(); }},
      {"hang mysqld", [](World& w, const std::string& h, const Words&) { w.server(h).hang(); }},
      {"wake mysqld", [](World& w, const std::string& h, const Words&) { w.server(h).wake(); }},
      {"kill agent", [](World& w, const std::string& h, const Words&) { w.kill_agent(h); }},
      {"crash agent", [](World& w, const std::string& h, const Words&) { w.crash_agent(h); }},
      {"wipe state", [](World& w, const std::string& h, const Words&) { w.wipe_state(h); }},
      {"save state", [](World& w, const std::string& h, const Words&) { w.save_state(h); }},
      {"restore state", [](World& w, const std::string& h, const Words&) { w.restore_state(h); }},
      {"start agent", [](World& w, const std::string& h, const Words&) { w.start_agent(h); }},
      {"stop agent", [](World& w, const std::string& h, const Words&) { w.stop_agent(h); }},
      {"upgrade agent", [](World& w, const std::string& h, const Words&) { w.upgrade_agent(h); }},
      {"pause agent", [](World& w, const std::string& h, const Words& s) { w.pause_agent(h, duration(s.back())); }},
      {"move host", [](World& w, const std::string& h, const Words&) { w.move_host(h); }},
      {"kill host", [](World& w, const std::string& h, const Words&) { w.kill_host(h); }},
      {"start host", [](World& w, const std::string& h, const Words&) { w.start_host(h); }},
      {"pause host",
       [](World& w, const std::string& h, const Words& s) {
         w.pause_agent(h, duration(s.back()));
         w.pause_server(h, duration(s.back()));
       }},
  };
  return all;
}

void direct_process(World& world, const Words& words) {
  const auto deed = deeds().find(words[0] + " " + words.at(1));
  if (deed == deeds().end()) throw Failure{"nobody knows how to " + words[0] + " " + words[1]};
  for (std::size_t i = 2; i < words.size() && words[i] != "for"; ++i)
    deed->second(world, host_at(world, words, i), words);
}

// ---------------------------------------------------------------- the network, the data

void direct_network(World& world, const Words& words) {
  if (words[0] == "heal") return world.heal();
  if (words[0] == "calm") {
    Words absent(words.begin() + std::min<std::ptrdiff_t>(2, static_cast<std::ptrdiff_t>(words.size())), words.end());
    return world.calm({absent.begin(), absent.end()});
  }
  if (words[0] == "loss") return void(world.loss = share(words.at(1)));
  if (words[0] == "twice") return void(world.twice = share(words.at(1)));
  if (words[0] == "replay") return void(world.replay = share(words.at(1)));
  if (words[0] == "clog") return world.clog(host_at(world, words, 1), host_at(world, words, 2), duration(words.back()));
  if (words[0] == "late") return void(world.late_most = duration(words.at(1)));
  world.cut(groups_of(world, words, 2), net_of(words.at(1)), words[0] == "mute");
}

void direct_data(World& world, const Words& words) {
  if (words[0] == "write") return world.write(host_at(world, words, 1), count(words, 2));
  if (words[0] == "load") return world.load(words.at(1) == "off" ? Duration{0} : duration(words.at(2)));
  if (words[0] == "decide") return world.decide(words.at(1) == "off" ? Duration{0} : duration(words.at(2)));
  if (words[0] == "lose") return world.lose_tail(host_at(world, words, 2), count(words, 3));
  ModelServer& server = world.server(host_at(world, words, 1));
  if (words[0] == "poison")
    server.poison();
  else if (words[0] == "stall")
    server.stall(true);
  else if (words[0] == "release")
    server.stall(false);
  else if (words[0] == "lock" || words[0] == "unlock")
    server.lock(words[0] == "lock");
  else if (words[0] == "clock")
    server.set_clock(duration(words.at(2)));
  else if (words[0] == "commits")
    server.commit_for(duration(words.at(2)));
  else if (words[0] == "purge")
    server.purge();
  else
    server.set_variable(words.at(2), words.at(3));
}

// "reload db1 one": [ring] writers in its config, which is read again. "reload db1 hung_after 6s", "... silence 5s", "... role leaf".
void direct_reload(World& world, const Words& words) {
  const std::string& host = host_at(world, words, 1);
  const std::string& key = words.at(2);
  if (key == "hung_after") return world.reload(host, [&](NodeSettings& s) { s.hung_after = duration(words.at(3)); });
  if (key == "silence") return world.reload(host, [&](NodeSettings& s) { s.silence = duration(words.at(3)); });
  if (key == "role") {
    const auto role = parse_role(words.at(3));
    if (!role) throw Failure{role.error().text};
    return world.reload(host, [&](NodeSettings& s) { s.role = *role; });
  }
  world.set_writers(host, key == "one");
}

// "clone db1 db5": db5 gets db1's state directory and name.
void direct_clone(World& world, const Words& words) {
  world.copy_state(host_at(world, words, 1), host_at(world, words, 2));
}

void direct_person(World& world, const Words& words) {
  if (words[0] == "tend") return world.tend(host_at(world, words, 1));
  if (words[0] == "operator") {
    Words name = words;
    if (!name.at(1).empty() && name[1].back() == ':') name[1].pop_back();
    return world.operate(host_at(world, name, 1), join(words, 2));
  }
  std::vector<std::pair<std::string, std::string>> arguments;
  if (words.at(2).starts_with("key-")) {
    const Key key = key_called(words.at(3));
    arguments.emplace_back("key", words[2] == "key-install" ? key_text(key) : to_string(key.id));
    if (words.size() > 4) arguments.emplace_back(words[4], "1");
    return world.command(host_at(world, words, 1), words[2], std::move(arguments));
  }
  for (std::size_t i = 3; i + 1 < words.size(); i += 2) arguments.emplace_back(words[i], words[i + 1]);
  world.command(host_at(world, words, 1), words.at(2), std::move(arguments));
}

// "keyfile db1 B A"
void direct_key_file(World& world, const Words& words) {
  std::vector<Key> keys;
  for (std::size_t i = 2; i < words.size(); ++i) keys.push_back(key_called(words[i]));
  if (keys.empty()) throw Failure{"which keys?"};
  world.set_key_file(host_at(world, words, 1), std::move(keys));
}

}  // namespace

Words split(const std::string& line) {
  Words out;
  std::istringstream in(line);
  for (std::string word; in >> word;) out.push_back(word);
  return out;
}

std::string join(const Words& words, std::size_t from) {
  std::string out;
  for (std::size_t i = from; i < words.size(); ++i) out += (out.empty() ? "" : " ") + words[i];
  return out;
}

Duration duration(const std::string& text) {
  char* unit = nullptr;
  const double number = std::strtod(text.c_str(), &unit);
  const std::string u = unit;
  const double scale = u == "us" ? 1 : u == "ms" ? 1e3 : u == "s" ? 1e6 : u == "m" ? 6e7 : u == "h" ? 3.6e9 : 0;
  if (scale == 0 || unit == text.c_str()) throw Failure{"\"" + text + "\" is no duration; 100ms, 3s, 10m are"};
  return Duration(static_cast<std::int64_t>(number * scale));
}

std::string clock(Time t) {
  char text[32];
  std::snprintf(text, sizeof text, "%9.4fs", static_cast<double>(t.count()) / 1e6);
  return text;
}

const std::string& host_at(const World& world, const Words& words, std::size_t at) {
  if (at >= words.size()) throw Failure{"which host?"};
  if (!world.has(words[at])) throw Failure{"there is no host \"" + words[at] + "\""};
  return words[at];
}

void direct(World& world, const Words& words) {
  using Direct = void (*)(World&, const Words&);
  static const std::map<std::string, Direct> verbs = {
      {"kill", direct_process},    {"start", direct_process},    {"stop", direct_process},  {"hang", direct_process},
      {"wake", direct_process},    {"pause", direct_process},    {"move", direct_process},  {"save", direct_process},
      {"restore", direct_process}, {"clone", direct_clone},      {"crash", direct_process}, {"wipe", direct_process},
      {"cut", direct_network},     {"mute", direct_network},     {"heal", direct_network},  {"calm", direct_network},
      {"loss", direct_network},    {"twice", direct_network},    {"late", direct_network},  {"write", direct_data},
      {"load", direct_data},       {"lose", direct_data},        {"poison", direct_data},   {"stall", direct_data},
      {"release", direct_data},    {"purge", direct_data},       {"variable", direct_data}, {"operator", direct_person},
      {"command", direct_person},  {"keyfile", direct_key_file}, {"tend", direct_person},   {"decide", direct_data},
      {"reload", direct_reload},   {"upgrade", direct_process},  {"clog", direct_network},  {"replay", direct_network},
      {"lock", direct_data},       {"unlock", direct_data},      {"clock", direct_data},    {"commits", direct_data},
  };
  world.note(Seen::Kind::fault, "", "---- " + join(words));
  const auto verb = verbs.find(words[0]);
  if (verb == verbs.end()) throw Failure{"this is neither something that happens nor something that is expected"};
  verb->second(world, words);
}

}  // namespace ringagent::sim
