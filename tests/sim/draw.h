#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/sim/seeds.h"

// How a seed becomes a story (seeds.h): the stage, then faults at random times, then the end.
//
// What is drawn from the first stream decides all that follows it there. Whatever was thought of later has a stream of its own,
// so that the seeds that were known before stay what they were.
namespace ringagent::sim {

class Draw {
 public:
  Draw(std::uint64_t seed, bool one_writer)
      : random_(seed), growth_(seed ^ 0x6a6f696e), seed_(seed), one_writer_(one_writer) {}

  SeedStory story();

 private:
  using Fault = void (Draw::*)();

  // ---- chance
  std::uint64_t below(std::uint64_t limit) { return random_() % limit; }
  bool chance(unsigned percent) { return below(100) < percent; }
  double between(double least, double most) {
    return least + (most - least) * static_cast<double>(below(1'000'000)) / 1e6;
  }
  // More often short than long: most races last as long as a round trip.
  double short_or_long(double least, double most) {
    return chance(50) ? between(least, least + (most - least) / 10) : between(least, most);
  }
  const std::string& anybody() { return names_[below(names_.size())]; }
  std::string others(const std::string& name) const;
  std::string split();

  // ---- the story
  void set_stage();
  void say(double at, const std::string& what) { acts_.emplace_back(at, what); }
  void during(const std::string& begin, const std::string& end, double span);
  void hurt(const std::string& begin, const std::string& end, const std::string& whom, double span) {
    during(begin + whom, end + whom, span);
  }
  void end_story();
  void add_writer();
  void add_older();
  void add_trouble();
  void restore_a_state(std::mt19937_64& random);
  void lose_quorum();

  // ---- faults
  void mysqld_killed() { hurt("kill mysqld ", "start mysqld ", victims(), short_or_long(0.05, 8)); }
  void mysqld_stopped() { hurt("stop mysqld ", "start mysqld ", victims(), between(0.4, 6)); }
  void mysqld_hangs() { hurt("hang mysqld ", "wake mysqld ", victims(), short_or_long(0.1, 12)); }
  void agent_killed() { hurt("kill agent ", "start agent ", victims(), short_or_long(0.02, 8)); }
  void agent_crashes() { hurt("crash agent ", "start agent ", victims(), short_or_long(0.02, 3)); }
  void state_wiped();
  void agent_stopped() { hurt("stop agent ", "start agent ", victims(), short_or_long(0.02, 5)); }
  void agent_pauses() { pause("pause agent "); }
  void host_pauses() { pause("pause host "); }
  void pause(const std::string& whom);
  void host_dies() { hurt("kill host ", "start host ", victims(), between(0.5, 12)); }
  void both_die();
  void network_cut();
  void network_mute();
  void network_partial();
  void noise();
  void applier_stalls() { hurt("stall ", "release ", anybody(), short_or_long(0.2, 10)); }
  void operator_stops() { say(now_, "operator " + anybody() + ": " + (mysql_ ? "STOP REPLICA" : "STOP SLAVE")); }
  void pause_ring() { during("command " + anybody() + " pause", "command " + anybody() + " resume", between(0.5, 6)); }
  void tail_lost();
  void poisoned() { say(now_, "poison " + anybody()); }
  void maintenance();
  void leaves();
  void removed();
  void reordered();
  void host_moves();
  void grows();
  void reseeds();
  void tend(const std::string& name, double from);
  void key_rotated();
  void writes() { say(now_, "write " + anybody() + " " + std::to_string(1 + below(20))); }

  std::string victims();
  static std::string span(double seconds);

  std::mt19937_64 random_;
  std::mt19937_64 growth_;  // of joining and reseeding, so that other seeds stay what they were
  const std::uint64_t seed_;
  const bool one_writer_;
  std::vector<std::string> names_;
  bool mysql_ = false;
  bool fences_ = false;  // read_only without quorum: who is wiped then does not know whose it was
  double now_ = 0;
  double end_ = 0;
  double calm_at_ = 0;   // not before
  bool formed_ = false;  // before anything happens
  bool moved_ = false;
  bool rotated_ = false;
  std::size_t roles_ = 0;  // how many are no ring members
  bool gone_ = false;      // somebody leaves, or is removed
  std::string joiner_;     // who is no member at first
  std::string damaged_;    // whose server loses a tail
  std::string wiped_;      // whose agent loses its state
  std::vector<std::pair<double, std::string>> acts_;
  std::vector<std::string> upgraded_last_;
  SeedStory story_;
};

}  // namespace ringagent::sim
