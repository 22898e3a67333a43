#include "tests/sim/seeds.h"

#include <algorithm>
#include <cstdio>
#include <random>

#include "tests/sim/draw.h"

namespace ringagent::sim {
namespace {

void append(std::string& text, const std::vector<std::string>& lines) {
  for (const std::string& line : lines) text += line + "\n";
}

}  // namespace

std::string SeedStory::text() const {
  std::string out;
  append(out, stage);
  append(out, acts);
  append(out, ending);
  return out;
}

SeedStory draw(std::uint64_t seed, std::optional<bool> one_writer) {
  const bool drawn = std::mt19937_64(~seed)() % 5 == 0;
  return Draw(seed, one_writer.value_or(drawn)).story();
}

SeedStory draw_noise(std::uint64_t seed, double hours) {
  SeedStory out;
  const bool mysql = seed % 2 == 1;
  out.stage = {std::string("flavor ") + (mysql ? "mysql" : "mariadb"), "seed " + std::to_string(seed),
               "ring db1 db2 db3 db4"};
  out.acts = {"at 1s loss 20%", "at 1s twice 10%", "at 1s late 200ms", "at 1s load every 10s"};
  std::mt19937_64 random(seed);
  double at = 2;
  while (at < hours * 3600) {
    const double span = 0.05 + static_cast<double>(random() % 1'950'000) / 1e6;  // up to silence - 0.5 s
    char line[96];
    std::snprintf(line, sizeof line, "at %.3fs pause %s db%d for %dms", at, random() % 2 == 0 ? "host" : "agent",
                  static_cast<int>(1 + random() % 4), static_cast<int>(span * 1000));
    out.acts.emplace_back(line);
    if (random() % 4 == 0) {
      const int hour_ms = 3'600'000;
      std::snprintf(line, sizeof line, "at %.3fs clock db%d %dms", at, static_cast<int>(1 + random() % 4),
                    static_cast<int>(random() % (2 * hour_ms)) - hour_ms);
      out.acts.emplace_back(line);
    }
    at += span + 5 + static_cast<double>(random() % 50'000) / 1e3;
  }
  return out;
}

std::string complaint(const StoryResult& result) {
  if (result.ok) return {};
  const std::size_t c = result.failure.find("\n  C");
  if (c != std::string::npos) return result.failure.substr(c + 3, result.failure.find(':', c) - c - 3);
  const std::size_t from = result.failure.find(": ");
  const std::size_t to = result.failure.find('\n');
  return from == std::string::npos ? result.failure : result.failure.substr(from + 2, to - from - 2);
}

SeedStory shrink(SeedStory story, const std::string& wanted, std::size_t tries) {
  const auto fails = [&](const SeedStory& shorter) {
    return tries > 0 && tries-- > 0 && complaint(run_story("shrunk", shorter.text())) == wanted;
  };
  for (std::size_t piece = std::max<std::size_t>(1, story.acts.size() / 2); piece > 0; piece /= 2) {
    for (std::size_t at = 0; at < story.acts.size();) {
      SeedStory shorter = story;
      const auto begin = shorter.acts.begin() + static_cast<std::ptrdiff_t>(at);
      shorter.acts.erase(begin, begin + static_cast<std::ptrdiff_t>(std::min(piece, shorter.acts.size() - at)));
      if (fails(shorter))
        story = std::move(shorter);
      else
        at += piece;
    }
  }
  return story;
}

}  // namespace ringagent::sim
