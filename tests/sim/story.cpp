#include "tests/sim/story.h"

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "tests/sim/director.h"

namespace ringagent::sim {
namespace {

constexpr Duration kOpeningLimit = 30s;
constexpr Duration kRest = 6s;         // after the opening: looks and round trips have been measured
constexpr Duration kLookAgain = 20ms;  // at what is dear to look at
constexpr std::size_t kSeenMax = 60;   // lines of a failure

std::string names(const Config& config, const std::vector<NodeId>& ids) {
  std::string out;
  for (const NodeId& id : ids) out += (out.empty() ? "" : " ") + config.find(id)->name;
  return out;
}

Role role_called(const std::string& word) {
  const auto role = parse_role(word);
  if (!role) throw Failure{role.error().text};
  return *role;
}

// The rest of a story cannot be judged: World::excused.
struct Excused {};

class Player {
 public:
  void play(const Words& words);
  void finish();
  std::string seen(std::size_t from, std::size_t most) const;
  std::string seen_since_mark() const { return seen(mark_, kSeenMax); }
  std::uint64_t steps() const { return world_ ? world_->steps() : 0; }
  Duration simulated() const { return world_ ? world_->now() - World::kDawn : Duration{0}; }

 private:
  using Parts = std::map<std::string, Words>;

  // ---- stage
  bool set_stage(const Words& words);
  void open(const Words& words);
  void open_ring();
  void open_running();

  void act(const Words& words);
  const std::string& host(const Words& words, std::size_t at) const { return host_at(*world_, words, at); }

  // ---- what must be seen
  void expect(Words words);
  bool has_keys(const Words& what);
  bool came_true(const Words& what);
  bool epoch(const Words& what);
  std::string epoch_differs(const Config& seen, const Words& what) const;
  bool repointed(const Words& what) const;
  bool only(const Words& wanted);
  bool logged(const std::string& host, const std::string& text) const;
  bool has_problem(const std::string& host, const std::string& code);
  void expect_nothing(Duration span, bool statements, bool votes = false);
  void expect_no_growth(Duration span);
  void check_violations() const;

  std::size_t end() const { return world_->first_kept() + world_->trace().size(); }
  const Seen& at(std::size_t number) const { return world_->trace()[number - world_->first_kept()]; }

  WorldOptions options_;
  std::unique_ptr<World> world_;
  Time zero_{0};
  Time marked_at_{0};
  std::size_t mark_ = 0;  // the trace when the last thing happened
  std::size_t opening_ = 0;
  std::size_t next_epoch_ = 0;  // everything before this in the trace has been matched
  bool allow_epochs_ = false;
  Duration rest_ = kRest;
  std::string wrong_;  // why the last expectation is not true yet
};

// ---------------------------------------------------------------- the stage

bool Player::set_stage(const Words& words) {
  if (words[0] == "flavor")
    options_.flavor = words.at(1) == "mysql" ? Flavor::mysql : Flavor::mariadb;
  else if (words[0] == "seed")
    options_.seed = std::strtoull(words.at(1).c_str(), nullptr, 10);
  else if (words[0] == "rest")
    rest_ = duration(words.at(1));
  else if (words[0] == "role")
    options_.roles[words.at(1)] = role_called(words.at(2));
  else if (words[0] == "older")
    options_.older.insert(words.at(1));
  else if (words[0] == "joiner")
    options_.joiners.insert(words.at(1));
  else if (join(words) == "disk files")
    options_.files = true;
  else if (words[0] != "set")
    return false;
  if (words[0] != "set") return true;
  NodeSettings& s = options_.settings;
  const std::map<std::string, Duration*> spans = {{"silence", &s.silence},
                                                  {"hung_after", &s.hung_after},
                                                  {"grace", &s.grace},
                                                  {"settle", &s.settle},
                                                  {"link_grace", &s.link_grace},
                                                  {"max_lag", &s.max_lag},
                                                  {"replay_max_age", &s.replay_max_age}};
  if (const auto span = spans.find(words.at(1)); span != spans.end())
    *span->second = duration(words.at(2));
  else if (words[1] == "stranded")
    s.replay_stranded = words.at(2) == "replay";
  else if (words[1] == "on_stuck")
    s.bypass_stuck = words.at(2) == "bypass";
  else if (words[1] == "writers")
    s.one_writer = words.at(2) == "one";
  else if (words[1] == "on_quorum_loss")
    s.read_only_without_quorum = words.at(2) == "read_only";
  else
    throw Failure{"there is no setting \"" + words[1] + "\""};
  return true;
}

void Player::open(const Words& words) {
  options_.names.assign(words.begin() + 1, words.end());
  options_.settings.cluster = "shop";
  options_.settings.agent_version = "0.1.0";
  options_.settings.replication_user = "repl";
  world_ = std::make_unique<World>(options_);
  for (const std::string& name : options_.names) {
    if (options_.roles.count(name) == 0 || options_.roles[name] != Role::witness) world_->server(name).start(50ms);
  }
  world_->run_until(world_->now() + 100ms);
  if (words[0] == "ring") open_ring();
  if (words[0] == "running") open_running();
  zero_ = marked_at_ = world_->now();
  opening_ = mark_ = next_epoch_ = end();
}

void Player::open_ring() {
  for (const std::string& name : options_.names) {
    if (options_.joiners.count(name) == 0) world_->start_agent(name);
  }
  const bool whole = world_->run_until([this] { return world_->wrong_with_ring(false).empty(); }, kOpeningLimit);
  if (!whole) throw Failure{"the ring was not formed: " + world_->wrong_with_ring()};
  world_->run_until(world_->now() + rest_);
  if (!world_->wrong_with_ring().empty()) throw Failure{"the ring did not stay formed: " + world_->wrong_with_ring()};
}

void Player::open_running() {
  const auto& all = options_.names;
  const bool mariadb = options_.flavor == Flavor::mariadb;
  const std::string word = mariadb ? "MASTER" : "SOURCE";
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Address source = world_->server(all[(i + all.size() - 1) % all.size()]).address();
    ModelServer& server = world_->server(all[i]);
    server.operate((mariadb ? "CHANGE MASTER TO " : "CHANGE REPLICATION SOURCE TO ") + word + "_HOST='" + source.host +
                   "', " + word + "_PORT=" + std::to_string(source.port) + ", " + word + "_USER='repl'");
    server.operate(mariadb ? "START SLAVE" : "START REPLICA");
    server.operate("SET GLOBAL read_only = 0");
  }
  world_->run_until(world_->now() + 1s);
  for (const std::string& name : all) world_->write(name, 3);
  world_->run_until(world_->now() + 1s);
}

void Player::act(const Words& words) {
  mark_ = end();
  marked_at_ = world_->now();
  direct(*world_, words);
}

// ---------------------------------------------------------------- what must be seen

std::string Player::epoch_differs(const Config& seen, const Words& what) const {
  Parts parts;
  std::string key;
  for (const std::string& word : what) {
    const bool names_part = word == "epoch" || word == "ring" || word == "votes" || word == "because" || word == "by" ||
                            word == "generation" || word == "writer";
    if (names_part && (key.empty() || !parts[key].empty()))  // `because votes`: there it is a value
      parts[key = word];
    else
      parts[key].push_back(word);
  }
  const std::map<std::string, std::string> is = {{"epoch", std::to_string(seen.epoch)},
                                                 {"ring", names(seen, ring(seen))},
                                                 {"votes", names(seen, voters(seen))},
                                                 {"because", seen.evidence_class},
                                                 {"by", seen.proposer},
                                                 {"generation", std::to_string(seen.generation)},
                                                 {"writer", seen.writer.nil() ? "none" : seen.find(seen.writer)->name}};
  std::string out;
  for (const auto& [part, wanted] : parts) {
    const auto found = is.find(part);
    if (found == is.end()) throw Failure{"\"" + part + "\" is nothing that an epoch has"};
    if (found->second != join(wanted)) out += (out.empty() ? "" : "; ") + part + " is " + found->second;
  }
  return out;
}

// The next epoch that no line has matched yet must be this one.
bool Player::epoch(const Words& what) {
  for (auto next = world_->epochs().lower_bound(next_epoch_); next != world_->epochs().end(); ++next) {
    const std::string differs = epoch_differs(*next->second.config, what);
    if (!differs.empty() && allow_epochs_) continue;
    if (!differs.empty()) throw Failure{"another epoch was decided: " + differs};
    next_epoch_ = next->first + 1;
    return true;
  }
  wrong_ = "no such epoch was decided";
  return false;
}

bool Player::repointed(const Words& what) const {
  if (what.size() != 4 || what[2] != "->") throw Failure{"say: repoint db4 -> db2"};
  ModelServer& server = world_->server(host(what, 1));
  const std::string wanted = "_HOST='" + world_->server(host(what, 3)).address().host + "'";
  for (std::size_t i = std::max(mark_, world_->first_kept()); i < end(); ++i) {
    const Seen& line = at(i);
    if (line.kind != Seen::Kind::statement || line.host != what[1] || line.text.find(wanted) == std::string::npos)
      continue;
    return server.io() == IoState::running && server.sql_running() && world_->name_of(server.source()) == what[3];
  }
  return false;
}

bool Player::logged(const std::string& host, const std::string& text) const {
  for (std::size_t i = std::max(mark_, world_->first_kept()); i < end(); ++i) {
    const Seen& line = at(i);
    if (line.kind == Seen::Kind::epoch || line.kind == Seen::Kind::fault || (!host.empty() && line.host != host))
      continue;
    if (line.text.find(text) != std::string::npos) return true;
  }
  return false;
}

bool Player::has_problem(const std::string& host, const std::string& code) {
  const Snapshot s = world_->snapshot(host);
  wrong_ = "status there says:";
  for (const ProblemView& problem : s.problems) wrong_ += "\n    " + problem.code + ": " + problem.text;
  return std::any_of(s.problems.begin(), s.problems.end(), [&](const ProblemView& p) { return p.code == code; });
}

bool Player::has_keys(const Words& what) {
  std::vector<std::string> wanted;
  for (std::size_t i = 2; i < what.size(); ++i) wanted.push_back(to_string(key_called(what[i]).id));
  for (const NodeView& node : world_->snapshot(host(what, 1)).nodes) {
    if (node.name != what[1]) continue;
    std::vector<std::string> keys = node.keys;
    if (!keys.empty()) std::sort(keys.begin() + 1, keys.end());
    if (wanted.size() > 1) std::sort(wanted.begin() + 1, wanted.end());
    if (keys == wanted) return true;
    wrong_ = "it has";
    for (const std::string& key : keys) wrong_ += " " + key;
  }
  return false;
}

// These servers take writes, and no others.
bool Player::only(const Words& wanted) {
  Words writing;
  for (const std::string& name : world_->names()) {
    const ModelServer& server = world_->server(name);
    if (server.listening() && !server.hung() && !server.read_only()) writing.push_back(name);
  }
  wrong_ = "these take writes: " + join(writing);
  return writing == wanted;
}

bool Player::came_true(const Words& what) {
  const std::string& kind = what.at(0);
  if (kind == "epoch") return epoch(what);
  if (kind == "repoint") return repointed(what);
  if (kind == "log") return logged(host(what, 1), join(what, 2));
  if (kind == "objection") return logged("", " objects: ");
  if (kind == "problem") return has_problem(host(what, 1), what.at(2));
  if (kind == "no") return !has_problem(host(what, 2), what.at(3));
  if (kind == "keys") return has_keys(what);
  if (kind == "health") {
    wrong_ = world_->snapshot(host(what, 1)).health;
    return wrong_ == what.at(2);
  }
  if (kind == "phase" || kind == "reason") {
    for (const NodeView& node : world_->snapshot(host(what, 1)).nodes) {
      if (node.name == what[1]) wrong_ = kind == "phase" ? node.phase : node.reason;
    }
    return wrong_ == what.at(2);
  }
  if (kind == "read_only") return world_->server(host(what, 1)).read_only();
  if (kind == "only") return only(Words(what.begin() + 1, what.end()));
  if (kind == "writable") return !world_->server(host(what, 1)).read_only();
  if (kind == "whole") return (wrong_ = world_->wrong_with_ring()).empty();
  if (kind == "data") return (wrong_ = world_->audit()).empty();
  if (kind == "statements") {
    std::size_t count = 0;
    for (std::size_t i = std::max(opening_, world_->first_kept()); i < end(); ++i) {
      count += at(i).kind == Seen::Kind::statement && at(i).host == host(what, 1);
    }
    wrong_ = std::to_string(count) + " statements";
    return std::to_string(count) == what.at(2);
  }
  throw Failure{"\"" + kind + "\" is nothing that can be expected"};
}

void Player::expect_nothing(Duration span, bool statements, bool votes) {
  const std::size_t from = end();
  world_->run_until(world_->now() + span);
  const auto unwanted = [this](const Seen& seen) {
    throw Failure{"at " + clock(seen.at - zero_) + " " + seen.host + ": " + seen.text};
  };
  for (auto next = world_->epochs().lower_bound(from); next != world_->epochs().end(); ++next) {
    if (!votes || next->second.config->evidence_class != "votes") unwanted(next->second);
  }
  if (!statements) return;
  if (world_->first_kept() > from) throw Failure{"more happened than the trace holds: look at a shorter time"};
  for (std::size_t i = from; i < end(); ++i) {
    if (at(i).kind == Seen::Kind::statement) unwanted(at(i));
  }
}

void Player::expect_no_growth(Duration span) {
  const std::size_t before = world_->binlogged();
  world_->run_until(world_->now() + span);
  if (world_->binlogged() != before)
    throw Failure{"C8: " + std::to_string(world_->binlogged() - before) + " transactions circulate"};
}

void Player::expect(Words words) {
  words.erase(words.begin());
  if (words.size() == 3 && words[0] == "nothing") return expect_nothing(duration(words[2]), true);
  if (words.size() == 3 && words[0] == "rest") return expect_nothing(duration(words[2]), true, true);
  if (words.size() == 4 && words[0] == "no" && words[1] == "growth") return expect_no_growth(duration(words[3]));
  if (words.size() == 4 && words[0] == "no" && words[1] == "epoch") return expect_nothing(duration(words[3]), false);
  Duration span{0};
  if (words.at(0) == "within") {
    span = duration(words.at(1));
    words.erase(words.begin(), words.begin() + 2);
  }
  wrong_.clear();
  const Time last = std::max(world_->now(), marked_at_ + span);
  const bool dear = words[0] == "data" || words[0] == "whole";
  bool came = came_true(words);
  while (!came && world_->now() < last) {
    const Duration left = last - world_->now();
    if (dear)
      world_->run_until(world_->now() + std::min(left, kLookAgain)), came = came_true(words);
    else
      came = world_->run_until([&] { return came_true(words); }, left);
  }
  if (!came) {
    throw Failure{wrong_.empty() ? "it did not come true" : wrong_};
  }
}

void Player::check_violations() const {
  if (world_ && !world_->violations().empty()) throw Failure{world_->violations().front()};
  if (world_ && world_->excused()) throw Excused{};
}

void Player::play(const Words& words) {
  if (world_ == nullptr) {
    if (set_stage(words)) return;
    const bool opens = words[0] == "ring" || words[0] == "fresh" || words[0] == "running";
    if (!opens) throw Failure{"the stage is not open yet: say ring, fresh or running, and who"};
    return open(words);
  }
  if (words[0] == "at") {
    const Time when = zero_ + duration(words.at(1));
    if (when < world_->now()) throw Failure{"it is " + clock(world_->now() - zero_) + " already"};
    world_->run_until(when);
    check_violations();
    return act(Words(words.begin() + 2, words.end()));
  }
  if (words[0] == "wait")
    world_->run_until(world_->now() + duration(words.at(1)));
  else if (words[0] == "allow" && words.at(1) == "generations")
    world_->expect_two_generations();
  else if (words[0] == "allow")
    allow_epochs_ = true;
  else if (words[0] == "expect")
    expect(words);
  else
    act(words);
  check_violations();
}

void Player::finish() {
  check_violations();
  if (allow_epochs_ || world_ == nullptr) return;
  const auto next = world_->epochs().lower_bound(next_epoch_);
  if (next != world_->epochs().end())
    throw Failure{"nobody expected " + next->second.text + " at " + clock(next->second.at - zero_)};
}

std::string Player::seen(std::size_t from, std::size_t most) const {
  std::string out;
  if (world_ == nullptr) return out;
  std::size_t lines = 0;
  for (std::size_t i = std::max(from, world_->first_kept()); i < end() && lines < most; ++i, ++lines) {
    const Seen& line = at(i);
    std::string text = line.text;
    for (const std::string& name : world_->names()) {
      const std::string& host = world_->server(name).address().host;
      for (std::size_t p = text.find(host); p != std::string::npos; p = text.find(host, p))
        text.replace(p, host.size(), name);
    }
    static constexpr const char* kSigns[] = {"", "== ", "sql> ", "mysqld: ", "", "done: ", "reply: "};
    out += clock(line.at - zero_) + "  " + line.host + (line.host.empty() ? "" : "  ") +
           kSigns[static_cast<int>(line.kind)] + text + "\n";
  }
  return out;
}

}  // namespace

StoryResult run_story(const std::string& name, std::string_view text) {
  StoryResult result;
  Player player;
  std::istringstream in{std::string(text)};
  std::string line;
  std::size_t number = 0;
  try {
    while (std::getline(in, line)) {
      ++number;
      const Words words = split(line.substr(0, line.find('#')));
      if (!words.empty()) player.play(words);
    }
    ++number;
    line = "(the end)";
    player.finish();
    result.ok = true;
  } catch (const Excused&) {
    result.ok = result.excused = true;
  } catch (const Failure& failure) {
    result.failure = name + ":" + std::to_string(number) + ": " + line + "\n  " + failure.text +
                     "\n  since the last thing that happened:\n" + player.seen_since_mark();
  } catch (const std::out_of_range&) {
    result.failure = name + ":" + std::to_string(number) + ": " + line + "\n  the line is not complete";
  }
  result.trace = player.seen(0, static_cast<std::size_t>(-1));
  result.steps = player.steps();
  result.simulated = player.simulated();
  return result;
}

}  // namespace ringagent::sim
