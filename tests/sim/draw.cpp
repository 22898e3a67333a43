#include "tests/sim/draw.h"

#include <algorithm>
#include <cstdio>
#include <set>

namespace ringagent::sim {

std::string Draw::span(double seconds) {
  return std::to_string(static_cast<std::int64_t>(seconds * 1000)) + "ms";
}

std::string Draw::others(const std::string& name) const {
  std::string out;
  for (const std::string& other : names_) {
    if (other != name) out += " " + other;
  }
  return out;
}

// One host, now and then two or three: neighbours or not.
std::string Draw::victims() {
  const std::size_t many = chance(75) ? 1 : chance(70) ? 2 : 3;
  std::set<std::string> chosen;
  for (std::size_t i = 0; i < many; ++i) chosen.insert(anybody());
  std::string out;
  for (const std::string& name : chosen) out += (out.empty() ? "" : " ") + name;
  return out;
}

// Two groups of hosts, "db1 db3 | db2".
std::string Draw::split() {
  std::string here;
  std::string there;
  while (here.empty() || there.empty()) {
    here.clear();
    there.clear();
    for (const std::string& name : names_) {
      std::string& side = chance(50) ? here : there;
      side += (side.empty() ? "" : " ") + name;
    }
  }
  return here + " | " + there;
}

void Draw::during(const std::string& begin, const std::string& end, double span) {
  say(now_, begin);
  if (now_ + span < end_ || chance(70)) say(now_ + span, end);  // some are only put right by the calm
}

void Draw::pause(const std::string& whom) {
  const double seconds = short_or_long(0.1, 6);
  say(now_, whom + anybody() + " for " + span(seconds));
  calm_at_ = std::max(calm_at_, now_ + seconds);
}

void Draw::set_stage() {
  const std::size_t hosts = chance(60) ? 4 : 2 + below(5);
  std::string opening = chance(85) ? "ring" : chance(50) ? "fresh" : "running";
  formed_ = opening == "ring";
  for (std::size_t i = 1; i <= hosts; ++i) {
    names_.push_back("db" + std::to_string(i));
    opening += " " + names_.back();
  }
  mysql_ = chance(50);
  story_.stage = {std::string("flavor ") + (mysql_ ? "mysql" : "mariadb"),
                  "seed " + std::to_string(seed_),
                  "rest " + span(short_or_long(0.3, 6)),
                  "set settle 200ms",
                  "set silence " + span(chance(70) ? 2.5 : between(1, 4)),
                  "set hung_after " + span(chance(70) ? 3 : between(1, 4)),
                  "set replay_max_age 0s"};
  if (chance(10)) story_.stage.push_back("set grace 500ms");
  if (chance(50)) story_.stage.push_back("set link_grace " + span(between(1, 5)));
  if (chance(40)) story_.stage.push_back("set on_stuck bypass");
  if (hosts >= 4 && !opening.starts_with("running") && chance(25)) {
    roles_ = 1;
    static const char* const kRoles[] = {" leaf", " spare", " witness"};
    story_.stage.push_back("role " + names_[below(names_.size())] + kRoles[below(3)]);
  }
  if (formed_ && names_.size() >= 3 && growth_() % 100 < 15) {  // of two, one voter may be all there is
    joiner_ = "db" + std::to_string(names_.size() + 1);
    story_.stage.push_back("joiner " + joiner_);
    opening += " " + joiner_;
    names_.push_back(joiner_);
  }
  fences_ = chance(10);
  if (fences_) story_.stage.emplace_back("set on_quorum_loss read_only");
  const bool held = seed_ % 8 == 5;  // not drawn: the other seeds stay what they were
  if (held) story_.stage.emplace_back("set stranded hold");
  if (seed_ % 16 == 9) story_.stage.emplace_back("disk files");
  story_.stage.push_back(opening);
  story_.stage.emplace_back("allow epochs");
  if (held) story_.stage.emplace_back("decide every 1s");
  end_ = short_or_long(1, 16);
  if (!formed_) {
    for (const std::string& name : names_) say(between(0, 1), "start agent " + name);
  }
  if (chance(80)) say(0, "load every " + span(between(0.01, 0.2)));
}

// Freezes a minority, ends all faults, and asks for everything.
void Draw::end_story() {
  double last = std::max(end_, calm_at_);
  for (const auto& [at, what] : acts_) last = std::max(last, at);
  std::string but;
  if (names_.size() >= 3 && damaged_.empty() && wiped_.empty() && formed_ && chance(30)) {
    const std::string& name = anybody();
    static const char* const kFreezes[] = {"kill host ", "kill mysqld ", "hang mysqld ", "kill agent "};
    // A server that was stopped by hand, or that died, needs an agent to have its link started again.
    const bool needs_agent = std::any_of(acts_.begin(), acts_.end(), [&](const auto& act) {
      const std::string& what = act.second;
      return what.starts_with("operator") ||
             (what.find(name) != std::string::npos && what.find("agent") == std::string::npos);
    });
    say(last, kFreezes[below(needs_agent ? 3 : 4)] + name);
    but = " but " + name;
  }
  std::stable_sort(acts_.begin(), acts_.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  if (!damaged_.empty()) {  // somebody may have started it meanwhile
    if (seed_ % 2 == 0) acts_.insert(acts_.begin(), {0, "variable " + damaged_ + " sync_binlog 0"});
    acts_.emplace_back(last, "kill mysqld " + damaged_);
    acts_.emplace_back(last, "lose tail " + damaged_ + " " + std::to_string(1 + below(8)));
  }
  for (const auto& [at, what] : acts_) {
    char time[32];
    std::snprintf(time, sizeof time, "at %.4fs ", at);
    story_.acts.push_back(time + what);
  }
  const bool forced = seed_ % 40 == 23 && names_.size() >= 4 && but.empty() && formed_ && wiped_.empty() &&
                      joiner_.empty() && !gone_ && !moved_;
  if (forced) lose_quorum();
  char calm[64];
  std::snprintf(calm, sizeof calm, "at %.4fs calm", last + 0.01);
  story_.ending = {forced ? "calm" : calm + but,
                   but.empty() ? "wait 3s" : "wait 6s",
                   "expect within 90s whole",
                   "expect within 110s data",
                   "wait 1s",
                   "expect rest for 5s",
                   "expect within 150s data",
                   "expect no growth for 1s"};
  upgraded_last_.emplace_back("load off");
  story_.ending.insert(story_.ending.begin() + 2, upgraded_last_.begin(), upgraded_last_.end());
}

// One writer, now and then moved by a person, or the mode of the ring changed. From a random stream of its own: everything
// else is drawn as if all wrote.
void Draw::add_writer() {
  std::mt19937_64 random(seed_ + 0x9e3779b97f4a7c15ULL);
  story_.stage.insert(story_.stage.begin() + 3, "set writers one");
  const auto some_time = [&] { return end_ * static_cast<double>(random() % 1000) / 1000; };
  const auto somebody = [&]() -> const std::string& { return names_[random() % names_.size()]; };
  for (std::uint64_t moves = random() % 3; moves > 0; --moves) {
    const double at = some_time();
    acts_.emplace_back(at, "command " + somebody() + " writer node " + somebody());
  }
  if (!formed_) return;
  if (random() % 5 == 0) {  // cut off for longer than any lease: the next writer opens by the clock
    const double at = static_cast<double>(random() % 2000) / 1000;
    const std::string& name = somebody();
    acts_.emplace_back(at, "cut network " + name + " |" + others(name));
    calm_at_ = std::max(calm_at_, at + 9 + static_cast<double>(random() % 4000) / 1000);
  }
  if (random() % 10 != 0) return;
  const double off = some_time();
  for (const std::string& name : names_) {
    acts_.emplace_back(off + static_cast<double>(random() % 1000) / 1000, "reload " + name + " all");
    acts_.emplace_back(off + 1 + static_cast<double>(random() % 3000) / 1000, "reload " + name + " one");
  }
}

// One or two agents of an older version, upgraded in the midst of it or when all faults are over.
void Draw::add_older() {
  std::mt19937_64 random(seed_ ^ 0x6f6c646572);
  const std::size_t many = 1 + random() % 2;
  for (std::size_t i = 0; i < many; ++i) {
    const std::string& name = names_[random() % names_.size()];
    story_.stage.insert(story_.stage.begin() + 3, "older " + name);
    if (random() % 2 == 0)
      acts_.emplace_back(end_ * static_cast<double>(random() % 1000) / 1000, "upgrade agent " + name);
    else
      upgraded_last_.push_back("upgrade agent " + name);
  }
}

// What was learnt to go wrong later than all else: from a random stream of its own, too.
void Draw::add_trouble() {
  std::mt19937_64 random(seed_ ^ 0x74726f75626c65);
  const auto in = [&random](unsigned percent) { return random() % 100 < percent; };
  const auto some_time = [&] { return end_ * static_cast<double>(random() % 1000) / 1000; };
  const auto somebody = [&]() -> const std::string& { return names_[random() % names_.size()]; };
  const auto seconds = [&random](double most) { return most * static_cast<double>(1 + random() % 1000) / 1000; };
  if (in(15)) {
    for (std::uint64_t jumps = 1 + random() % 4; jumps > 0; --jumps) {
      const double by = seconds(in(50) ? 20 : 4000);
      acts_.emplace_back(some_time(), "clock " + somebody() + (in(50) ? " -" : " ") + span(by));
    }
  }
  if (in(15)) {
    for (std::uint64_t clogs = 1 + random() % 4; clogs > 0; --clogs) {
      const std::string& one = somebody();
      const std::string& other = somebody();
      if (one == other) continue;
      const double for_s = seconds(in(60) ? 1.5 : 9);
      const double at = some_time();
      acts_.emplace_back(at, "clog " + one + " " + other + " for " + span(for_s));
      calm_at_ = std::max(calm_at_, at + for_s);
    }
  }
  if (in(15)) {
    const double at = some_time();
    acts_.emplace_back(at, "replay " + std::to_string(1 + random() % 30) + "%");
    acts_.emplace_back(at + seconds(10), "replay 0%");
  }
  if (in(15)) {
    const std::string& name = somebody();
    const double at = some_time();
    acts_.emplace_back(at, "lock " + name);
    acts_.emplace_back(at + seconds(in(60) ? 3 : 12), "unlock " + name);
  }
  if (in(6)) {  // a server is set up wrongly for a while
    const std::string change = "variable " + somebody() + (mysql_ || in(50) ? " binlog_format " : " gtid_strict_mode ");
    const double at = some_time();
    acts_.emplace_back(at, change + (change.ends_with("format ") ? "STATEMENT" : "OFF"));
    acts_.emplace_back(at + seconds(8), change + (change.ends_with("format ") ? "ROW" : "ON"));
  }
  if (in(4)) restore_a_state(random);
  if (in(6) && formed_) acts_.emplace_back(some_time(), "purge " + somebody());
  if (in(20) && mysql_) {
    const std::string& name = somebody();
    const double at = some_time();
    acts_.emplace_back(at, "commits " + name + " " + span(seconds(0.8)));
    acts_.emplace_back(at + seconds(20), "commits " + name + " 0ms");
  }
  if (in(6) && formed_) {  // all but one, or all, while somebody may be away
    const std::string& keeps = somebody();
    const double at = some_time();
    for (const std::string& name : names_) {
      const double when = at + seconds(2);
      if (name != keeps || in(20)) acts_.emplace_back(when, "purge " + name);
    }
  }
}

// At the end half of the hosts, or more, are lost for long, and a person has the others go on without them.
void Draw::lose_quorum() {
  std::mt19937_64 random(seed_ ^ 0x666f726365);
  std::vector<std::string> order = names_;
  for (std::size_t i = order.size() - 1; i > 0; --i) std::swap(order[i], order[random() % (i + 1)]);
  std::string lost;
  std::string named;
  for (std::size_t i = 0; i < (order.size() + 1) / 2; ++i) {
    lost += " " + order[i];
    named += " lost " + order[i];
  }
  story_.acts.push_back("wait 3s");
  story_.acts.push_back("kill host" + lost);
  story_.acts.push_back("calm but" + lost);
  story_.acts.emplace_back("wait 12s");
  story_.acts.push_back("command " + order.back() + " force-quorum" + named + " yes 1");
  story_.acts.emplace_back("wait 12s");
  // Where the only server that is left has lost a tail that the lost have, it waits for them, or for a person to remove them; one
  // that waits for a copy is no survivor.
  const bool copies = std::any_of(acts_.begin(), acts_.end(),
                                  [](const auto& act) { return act.second.find(" reseed") != std::string::npos; });
  const bool damaged = !damaged_.empty() && (lost + " ").find(" " + damaged_ + " ") == std::string::npos;
  const bool may_be_alone = (damaged || copies) && roles_ > 0;
  if (!may_be_alone) story_.acts.emplace_back("expect within 60s whole");
}

// Once, and as with a state that is wiped: its vote is lost for good.
void Draw::restore_a_state(std::mt19937_64& random) {
  if (!formed_ || !wiped_.empty() || !damaged_.empty() || names_.size() < 3 || fences_ || moved_ || rotated_ || gone_)
    return;
  wiped_ = names_[random() % names_.size()];
  const double from = end_ * static_cast<double>(random() % 500) / 1000;
  acts_.emplace_back(from, "save state " + wiped_);
  acts_.emplace_back(from + 0.1 + end_ * static_cast<double>(random() % 500) / 1000, "restore state " + wiped_);
  acts_.emplace_back(end_, "start agent " + wiped_);
}

SeedStory Draw::story() {
  set_stage();
  std::vector<Fault> all = {&Draw::mysqld_killed, &Draw::mysqld_stopped, &Draw::mysqld_hangs,   &Draw::agent_killed,
                            &Draw::agent_crashes, &Draw::agent_stopped,  &Draw::agent_pauses,   &Draw::host_pauses,
                            &Draw::host_dies,     &Draw::both_die,       &Draw::network_cut,    &Draw::network_mute,
                            &Draw::noise,         &Draw::applier_stalls, &Draw::operator_stops, &Draw::pause_ring,
                            &Draw::writes,        &Draw::tail_lost,      &Draw::state_wiped,    &Draw::network_partial,
                            &Draw::poisoned,      &Draw::maintenance,    &Draw::leaves,         &Draw::removed,
                            &Draw::reordered,     &Draw::host_moves,     &Draw::key_rotated};
  std::vector<Fault> allowed;
  for (const Fault fault : all) {
    if (chance(40)) allowed.push_back(fault);
  }
  if (allowed.empty()) allowed.push_back(all[below(all.size())]);
  const std::size_t faults = 1 + below(chance(70) ? 6 : 16);
  for (std::size_t i = 0; i < faults; ++i) {
    now_ = chance(30) && i > 0 ? std::min(end_, now_ + between(0, 0.05)) : between(0, end_);
    (this->*allowed[below(allowed.size())])();
  }
  grows();
  reseeds();
  if (one_writer_) add_writer();
  if (seed_ % 10 == 7) add_older();
  add_trouble();
  end_story();
  return story_;
}

}  // namespace ringagent::sim
