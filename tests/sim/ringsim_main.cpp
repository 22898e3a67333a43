#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>
#include <mutex>
#include <thread>

#include "tests/sim/seeds.h"

// ringsim: seeds for people. `ringsim --help` says how; README.md how to read a failure.
namespace ringagent::sim {
namespace {

constexpr const char* kHelp =
    R"(ringsim: rings of real agents and model servers in a world in which everything goes wrong

  ringsim --seeds 1000 [--from 1] [--jobs 2]   play so many seeds; exit 1 if any fails
  ringsim --replay 4711                        play one seed and print its complaint and its last events
  ringsim --replay 4711 --story                ... everything that happened, with names
  ringsim --replay 4711 --shrink               ... the shortest story that fails in the same way
  ringsim --noise 100                          so many simulated hours of loss, delay, pauses, set clocks: no epoch may come
  ringsim --play FILE                          play a story from a file

  --seconds N    stop after so long, with what was played until then
  --expect WORD  exit 0 only if a seed fails with this complaint (for mutants: scripts/ringsim --mutant NAME)
  --most N       print at most so many failures (3)
  --writers one  every seed with [ring] writers = "one" (or "all"; otherwise each draws it)
)";

constexpr std::size_t kShrinkTries = 300;
constexpr std::size_t kTail = 40;

struct Options {
  std::uint64_t seeds = 0;
  std::uint64_t from = 1;
  unsigned jobs = std::max(1U, std::thread::hardware_concurrency());
  std::optional<std::uint64_t> replay;
  bool story = false;
  bool shrink = false;
  double noise_hours = 0;
  std::string play;
  double seconds = 0;
  std::string expected;
  std::size_t most = 3;
  std::optional<bool> one_writer;
};

struct Totals {
  std::uint64_t played = 0;
  std::uint64_t excused = 0;
  std::uint64_t steps = 0;
  Duration simulated{0};
  std::map<std::string, std::vector<std::uint64_t>> failed;  // complaint -> seeds
};

[[noreturn]] void usage(const std::string& wrong) {
  std::cerr << "ringsim: " << wrong << "; see ringsim --help\n";
  std::exit(64);
}

double number(const std::string& option, const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || value < 0) usage(option + " wants a number, not \"" + text + "\"");
  return value;
}

bool writers(const std::string& text) {
  if (text != "one" && text != "all") usage("--writers wants one or all, not \"" + text + "\"");
  return text == "one";
}

Options parse(const std::vector<std::string>& arguments) {
  Options o;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& option = arguments[i];
    const auto text = [&] {
      if (++i == arguments.size()) usage(option + " wants a value");
      return arguments[i];
    };
    const auto whole = [&] { return static_cast<std::uint64_t>(number(option, text())); };
    if (option == "--help") {
      std::cout << kHelp;
      std::exit(0);
    }
    if (option == "--seeds")
      o.seeds = whole();
    else if (option == "--from")
      o.from = whole();
    else if (option == "--jobs")
      o.jobs = static_cast<unsigned>(std::max<std::uint64_t>(1, whole()));
    else if (option == "--replay")
      o.replay = whole();
    else if (option == "--story")
      o.story = true;
    else if (option == "--shrink")
      o.shrink = true;
    else if (option == "--noise")
      o.noise_hours = number(option, text());
    else if (option == "--play")
      o.play = text();
    else if (option == "--seconds")
      o.seconds = number(option, text());
    else if (option == "--expect")
      o.expected = text();
    else if (option == "--most")
      o.most = whole();
    else if (option == "--writers")
      o.one_writer = writers(text());
    else
      usage("there is no option " + option);
  }
  if (!o.replay && o.seeds == 0 && o.noise_hours == 0 && o.play.empty()) usage("what is to be played?");
  return o;
}

std::string last_lines(const std::string& text, std::size_t lines) {
  std::size_t at = text.size();
  for (std::size_t i = 0; i <= lines && at != std::string::npos && at > 0; ++i) at = text.rfind('\n', at - 1);
  return at == std::string::npos || at == 0 ? text : text.substr(at + 1);
}

std::string indented(const std::string& text) {
  std::string out = "  ";
  for (const char c : text) out += c == '\n' ? std::string("\n  ") : std::string(1, c);
  return out + "\n";
}

int replay(const std::string& name, SeedStory story, const Options& o) {
  StoryResult result = run_story(name, story.text());
  if (!result.ok && o.shrink) {
    story = shrink(story, complaint(result), kShrinkTries);
    result = run_story(name, story.text());
  }
  std::cout << name << ", the story:\n" << indented(story.text());
  if (o.story) std::cout << "what happened:\n" << result.trace;
  if (!result.ok && !o.story) std::cout << "the last that happened:\n" << last_lines(result.trace, kTail);
  std::cout << (result.ok ? name + ": ok" : "FAILED " + result.failure) << "\n";
  return result.ok ? 0 : 1;
}

// Plays seeds on all cores; which core plays which changes nothing in them.
class Swarm {
 public:
  explicit Swarm(const Options& options) : options_(options) {}

  Totals play() {
    std::vector<std::thread> crew;
    for (unsigned i = 0; i < options_.jobs; ++i) crew.emplace_back([this] { work(); });
    for (std::thread& one : crew) one.join();
    return totals_;
  }

 private:
  SeedStory story_of(std::uint64_t seed) const {
    return options_.noise_hours > 0 ? draw_noise(seed, hours_each()) : draw(seed, options_.one_writer);
  }
  double hours_each() const { return std::min(options_.noise_hours, 1.0); }
  std::uint64_t count() const {
    return options_.noise_hours > 0 ? static_cast<std::uint64_t>(std::llround(options_.noise_hours / hours_each()))
                                    : options_.seeds;
  }

  bool time_left() const {
    if (options_.seconds == 0) return true;
    return std::chrono::steady_clock::now() - began_ < std::chrono::duration<double>(options_.seconds);
  }

  void work() {
    while (time_left() && !found_) {
      const std::uint64_t i = next_++;
      if (i >= count()) return;
      const std::uint64_t seed = options_.from + i;
      const SeedStory story = story_of(seed);
      note(seed, story, run_story("seed " + std::to_string(seed), story.text()));
    }
  }

  std::string how_to_replay(std::uint64_t seed) const {
    if (options_.noise_hours > 0) return "";
    const std::string mode = options_.one_writer ? *options_.one_writer ? " --writers one" : " --writers all" : "";
    return "again, with its whole story: scripts/ringsim --replay " + std::to_string(seed) + mode + "\n";
  }

  void note(std::uint64_t seed, const SeedStory& story, const StoryResult& result) {
    const std::lock_guard lock(mutex_);
    ++totals_.played;
    totals_.steps += result.steps;
    totals_.simulated += result.simulated;
    totals_.excused += result.excused ? 1 : 0;
    if (result.ok) return;
    const std::string why = complaint(result);
    auto& seeds = totals_.failed[why];
    seeds.push_back(seed);
    if (!options_.expected.empty()) {
      found_ = found_ || why == options_.expected;
    } else if (shown_++ < options_.most) {
      std::cout << "FAILED " << result.failure << "\nwhat it may do:\n"
                << indented(SeedStory{story.stage, {}, {}}.text()) << how_to_replay(seed) << std::flush;
    }
  }

  const Options& options_;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  std::atomic<std::uint64_t> next_{0};
  std::atomic<bool> found_{false};
  std::mutex mutex_;
  std::size_t shown_ = 0;
  Totals totals_;
};

int swarm(const Options& o) {
  const auto began = std::chrono::steady_clock::now();
  const Totals totals = Swarm(o).play();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  const double simulated = static_cast<double>(totals.simulated.count()) / 1e6;
  std::uint64_t failures = 0;
  bool as_expected = false;
  for (const auto& [why, seeds] : totals.failed) {
    failures += seeds.size();
    as_expected = as_expected || why == o.expected;
    std::cout << seeds.size() << " x " << why << "  (first seed " << *std::min_element(seeds.begin(), seeds.end())
              << ")\n";
  }
  std::printf(
      "%llu seeds in %.1f s (%.0f a second), %.1f simulated hours (%.0f times real time), %.1f million steps, %llu "
      "failed\n",
      static_cast<unsigned long long>(totals.played), seconds, static_cast<double>(totals.played) / seconds,
      simulated / 3600, simulated / seconds, static_cast<double>(totals.steps) / 1e6,
      static_cast<unsigned long long>(failures));
  if (totals.excused > 0)
    std::printf("%llu of them ended early, where nobody is answerable for a restored voter\n",
                static_cast<unsigned long long>(totals.excused));
  if (!o.expected.empty()) return as_expected ? 0 : 1;
  return failures == 0 ? 0 : 1;
}

int play_file(const Options& o) {
  std::FILE* file = std::fopen(o.play.c_str(), "r");
  if (file == nullptr) usage("cannot read " + o.play);
  SeedStory story;
  std::string line;
  for (int c = std::fgetc(file); c != EOF; c = std::fgetc(file)) {
    if (c != '\n') {
      line += static_cast<char>(c);
      continue;
    }
    story.acts.push_back(std::exchange(line, {}));
  }
  std::fclose(file);
  return replay(o.play, std::move(story), o);
}

int run(const Options& o) {
  if (!o.play.empty()) return play_file(o);
  if (o.replay) return replay("seed " + std::to_string(*o.replay), draw(*o.replay, o.one_writer), o);
  return swarm(o);
}

}  // namespace
}  // namespace ringagent::sim

int main(int argc, char** argv) {
  return ringagent::sim::run(ringagent::sim::parse({argv + 1, argv + argc}));
}
