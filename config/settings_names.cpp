#include "config/settings_names.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace ringagent {
namespace {

// How many letters must be put in, taken out or changed to make one word of the other.
std::size_t edits(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t change = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({change, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

// The candidate that differs least, if it differs little.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  std::string best;
  std::size_t least = 1 + std::min<std::size_t>(3, word.size() / 2);
  for (const auto& candidate : candidates) {
    const std::size_t distance = edits(word, candidate);
    if (distance >= least) continue;
    least = distance;
    best = candidate;
  }
  return best;
}

std::string listed(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}

std::vector<std::string> sections() {
  std::vector<std::string> out;
  for (const auto& key : settings_keys()) {
    if (!key.section.empty() && (out.empty() || out.back() != key.section)) out.push_back(key.section);
  }
  return out;
}

std::vector<std::string> names_in(std::string_view section) {
  std::vector<std::string> out;
  for (const auto& key : settings_keys()) {
    if (key.section == section) out.push_back(key.name);
  }
  return out;
}

}  // namespace

const SettingsKey* settings_key(std::string_view section, std::string_view name) {
  const auto& keys = settings_keys();
  const auto found = std::find_if(keys.begin(), keys.end(),
                                  [&](const SettingsKey& key) { return key.section == section && key.name == name; });
  return found == keys.end() ? nullptr : &*found;
}

bool is_section(std::string_view name) {
  const auto known = sections();
  return std::find(known.begin(), known.end(), name) != known.end();
}

std::string key_label(std::string_view section, std::string_view name) {
  return (section.empty() ? "" : "[" + std::string(section) + "] ") + std::string(name);
}

std::string shown(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return out;
}

std::string unknown_key_text(const std::string& section, const std::string& name) {
  const std::string text = key_label(section, shown(name)) + ": there is no such key";
  if (const std::string meant = nearest(name, names_in(section)); !meant.empty())
    return text + "; did you mean " + meant + "?";
  std::vector<std::string> elsewhere;
  for (const auto& key : settings_keys()) {
    if (key.name == name)
      elsewhere.push_back(key.section.empty() ? "at the top of the file" : "in [" + key.section + "]");
  }
  if (!elsewhere.empty()) return text + " here; it stands " + listed(elsewhere);
  return text + "; known here: " + listed(names_in(section));
}

std::string unknown_section_text(const std::string& name) {
  const std::string text = "[" + shown(name) + "]: there is no such section";
  if (const std::string meant = nearest(name, sections()); !meant.empty())
    return text + "; did you mean [" + meant + "]?";
  return text + "; known are " + listed(sections());
}

}  // namespace ringagent
