#include <algorithm>

#include "tests/sim/draw.h"

// One fault each: what goes wrong, with whom, from when to when.
namespace ringagent::sim {

void Draw::both_die() {
  const std::string name = anybody();
  say(now_, "kill mysqld " + name);
  say(now_, "kill agent " + name);
  say(now_ + short_or_long(0.05, 6), "start mysqld " + name);
  say(now_ + short_or_long(0.05, 6), "start agent " + name);
}

// Power fails at one host; when all faults are over it starts with an older state of its data.
void Draw::tail_lost() {
  if (!damaged_.empty() || !wiped_.empty()) return;  // the only one who has the tail must not lose its memory
  damaged_ = anybody();
  say(now_, "kill mysqld " + damaged_);
}

// Once: a vote that is lost for good and one more that is missing are a majority of three.
void Draw::state_wiped() {
  if (!wiped_.empty() || !damaged_.empty() || names_.size() < 3 || fences_ || moved_ || rotated_) return;
  wiped_ = anybody();
  hurt("wipe state ", "start agent ", wiped_, short_or_long(0.02, 5));
}

void Draw::maintenance() {
  const std::string on = "command " + anybody() + " maintenance node " + anybody() + " state ";
  say(now_, on + "on" + (chance(50) ? " for_ms " + std::to_string(500 + below(6000)) : ""));
  if (chance(50)) say(now_ + between(0.5, 6), on + "off");
}

// Once: what is left must be a ring whose voters may be lost one after another.
void Draw::leaves() {
  if (gone_ || names_.size() < 5 + roles_) return;
  gone_ = true;
  say(now_, "command " + anybody() + " leave");
}

void Draw::removed() {
  if (gone_ || rotated_ || names_.size() < 5 + roles_) return;
  gone_ = true;
  const std::string name = anybody();
  say(now_, "kill host " + name);
  say(now_ + between(2, 6), "command " + anybody() + " remove node " + name);
  say(now_ + between(3, 9), "start host " + name);
}

// Once, and not before there is a ring: who knows nobody's address any more is found by nobody.
void Draw::host_moves() {
  if (!formed_ || !wiped_.empty() || std::exchange(moved_, true)) return;
  hurt("move host ", "start host ", anybody(), between(0.5, 8));
}

// A person looks after a host now and then.
void Draw::tend(const std::string& name, double from) {
  for (std::uint64_t looks = 1 + growth_() % 5; looks > 0; --looks) {
    from += static_cast<double>(growth_() % 2'000) / 1e3;
    say(from, "tend " + name);
  }
}

// Somebody joins in the midst of it.
void Draw::grows() {
  if (joiner_.empty()) return;
  const double at = end_ * static_cast<double>(growth_() % 1'000) / 1e3;
  say(at, "start agent " + joiner_);
  say(at + 0.2,
      "command " + joiner_ + " join address 10.0.0." + std::to_string(1 + growth_() % (names_.size() - 1)) + ":7946");
  tend(joiner_, at + 0.4);
}

void Draw::reseeds() {
  if (growth_() % 100 >= 15) return;
  const std::string name = names_[growth_() % names_.size()];
  const double at = end_ * static_cast<double>(growth_() % 1'000) / 1e3;
  say(at, "command " + name + " reseed");
  tend(name, at + 0.2);
}

// Once, and only where everybody comes back with what he knew: who has lost his keys, or is no member any more, is not told.
void Draw::key_rotated() {
  if (!formed_ || !wiped_.empty() || !joiner_.empty() || gone_ || std::exchange(rotated_, true)) return;
  say(now_, "command " + anybody() + " key-install B");
  const double used = now_ + short_or_long(0.01, 4);
  say(used, "command " + anybody() + " key-use B");
  const double removed = used + short_or_long(0.01, 4);
  say(removed, "command " + anybody() + " key-remove A");
  if (chance(40)) say(removed + between(0.1, 4), "command " + anybody() + " key-install A");
}

void Draw::reordered() {
  std::vector<std::string> order = names_;
  for (std::size_t i = order.size() - 1; i > 0; --i) std::swap(order[i], order[below(i + 1)]);
  std::string text = "command " + anybody() + " order";
  for (const std::string& name : order) text += " node " + name;
  say(now_, text);
}

void Draw::network_cut() {
  static const char* const kNets[] = {"network", "agents", "databases"};
  during(std::string("cut ") + kNets[below(3)] + " " + split(), "heal network", short_or_long(0.1, 10));
}

// One host is cut off from some of the others only: who reaches whom is not transitive.
void Draw::network_partial() {
  const std::string& name = anybody();
  std::string some;
  for (const std::string& other : names_) {
    if (other != name && chance(60)) some += " " + other;
  }
  if (!some.empty()) during("cut network " + name + " |" + some, "heal network", short_or_long(0.1, 10));
}

void Draw::network_mute() {
  static const char* const kNets[] = {"network", "agents", "agents"};
  const std::string name = anybody();
  const std::string way = chance(50) ? name + " |" + others(name) : others(name) + " | " + name;
  during(std::string("mute ") + kNets[below(3)] + " " + way, "heal network", short_or_long(0.1, 8));
}

void Draw::noise() {
  say(now_, "loss " + std::to_string(below(30)) + "%");
  say(now_, "twice " + std::to_string(below(20)) + "%");
  say(now_, "late " + span(between(0.001, 0.3)));
  const double until = now_ + between(0.5, 8);
  say(until, "loss 0%");
  say(until, "twice 0%");
  say(until, "late 0ms");
}

}  // namespace ringagent::sim
