#include "agent/history.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <deque>
#include <fstream>
#include <mutex>
#include <optional>

#include "agent/json_read.h"

namespace ringagent {
namespace {

using json_read::Json;

Error system_error(const std::string& what, const std::string& path) {
  return Error{what + " " + path + ": " + std::strerror(errno)};
}

double milliseconds(std::int64_t us) {
  return static_cast<double>(us) / 1000.0;
}

std::string line_of(const HistoryEntry& entry, std::uint64_t seq, std::chrono::system_clock::time_point at) {
  Json steps = Json::array();
  for (const auto& step : entry.steps) {
    steps.push_back({{"name", step.name}, {"took_ms", milliseconds(step.took_us)}});
  }
  const Json json = {{"seq", seq},           {"time", iso_time(at)},
                     {"kind", entry.kind},   {"generation", entry.generation},
                     {"epoch", entry.epoch}, {"what", entry.what},
                     {"why", entry.why},     {"who", entry.who},
                     {"ok", entry.ok},       {"took_ms", milliseconds(entry.took_us)},
                     {"steps", steps}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

// The seq of a whole, sound line; none for a torn one.
std::optional<std::uint64_t> seq_of(const std::string& line) {
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  const auto it = json.find("seq");
  if (it == json.end() || !it->is_number_unsigned()) return std::nullopt;
  return it->get<std::uint64_t>();
}

}  // namespace

struct History::Impl {
  std::string path;
  std::size_t bytes_max = kBytesMax;
  mutable std::mutex mutex;
  int fd = -1;
  std::size_t bytes = 0;  // of the current file
  bool torn = false;      // the file does not end with a newline
  std::uint64_t last_seq = 0;
  std::deque<std::pair<std::uint64_t, std::string>> tail;  // seq and line, oldest first

  ~Impl() {
    if (fd >= 0) ::close(fd);
  }

  Result<void> open_file() {
    fd = ::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0) return tl::unexpected(system_error("cannot open", path));
    struct stat st {};
    if (::fstat(fd, &st) != 0) return tl::unexpected(system_error("cannot look at", path));
    bytes = static_cast<std::size_t>(st.st_size);
    char end = '\n';
    if (bytes > 0 && ::pread(fd, &end, 1, st.st_size - 1) != 1) {
      return tl::unexpected(system_error("cannot read", path));
    }
    torn = end != '\n';
    return {};
  }

  // Files, oldest first.
  std::vector<std::string> paths() const { return {path + ".1", path}; }

  void remember(std::uint64_t seq, std::string line) {
    last_seq = std::max(last_seq, seq);
    tail.emplace_back(seq, std::move(line));
    if (tail.size() > kTailEntries) tail.pop_front();
  }

  void read_tail() {
    for (const auto& file : paths()) {
      std::ifstream in(file);
      for (std::string line; std::getline(in, line);) {
        if (const auto seq = seq_of(line)) remember(*seq, std::move(line));
      }
    }
  }

  std::vector<std::string> from_tail(std::size_t count, std::uint64_t after) const {
    std::vector<std::string> out;
    for (std::size_t i = tail.size() - std::min(count, tail.size()); i < tail.size(); ++i) {
      if (tail[i].first > after) out.push_back(tail[i].second);
    }
    return out;
  }

  Result<void> rotate() {
    if (::rename(path.c_str(), (path + ".1").c_str()) != 0) return tl::unexpected(system_error("cannot rename", path));
    ::close(fd);
    fd = -1;
    return open_file();
  }

  Result<void> append(const std::string& text) {
    std::size_t done = 0;
    while (done < text.size()) {
      const ssize_t n = ::write(fd, text.data() + done, text.size() - done);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return tl::unexpected(system_error("cannot write", path));
      done += static_cast<std::size_t>(n);
      bytes += static_cast<std::size_t>(n);
      torn = done < text.size();
    }
    return {};
  }
};

History::History(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
History::~History() = default;

Result<std::unique_ptr<History>> History::open(std::string path, std::size_t bytes_max) {
  auto impl = std::make_unique<Impl>();
  impl->path = std::move(path);
  impl->bytes_max = bytes_max;
  if (auto opened = impl->open_file(); !opened) return tl::unexpected(opened.error());
  impl->read_tail();
  return std::unique_ptr<History>(new History(std::move(impl)));
}

Result<void> History::add(const HistoryEntry& entry, std::chrono::system_clock::time_point at) {
  const std::lock_guard lock(impl_->mutex);
  const std::string line = line_of(entry, impl_->last_seq + 1, at);
  if (impl_->fd < 0) {  // a rotation failed half-way
    if (auto opened = impl_->open_file(); !opened) return opened;
  }
  if (impl_->bytes > 0 && impl_->bytes + line.size() > impl_->bytes_max) {
    if (auto rotated = impl_->rotate(); !rotated) return rotated;
  }
  if (auto written = impl_->append(impl_->torn ? "\n" + line : line); !written) return written;
  impl_->remember(impl_->last_seq + 1, line.substr(0, line.size() - 1));
  return {};
}

std::vector<std::string> History::last(std::size_t count, std::uint64_t after) const {
  const std::lock_guard lock(impl_->mutex);
  count = std::min(count, kReadMax);
  if (count == 0 || after >= impl_->last_seq) return {};
  if (count <= kTailEntries || after + 1 >= impl_->tail.front().first) return impl_->from_tail(count, after);
  std::deque<std::string> kept;
  for (const auto& file : impl_->paths()) {
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);) {
      const auto seq = seq_of(line);
      if (!seq || *seq <= after) continue;
      kept.push_back(std::move(line));
      if (kept.size() > count) kept.pop_front();
    }
  }
  return {std::make_move_iterator(kept.begin()), std::make_move_iterator(kept.end())};
}

std::uint64_t History::last_seq() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->last_seq;
}

std::string iso_time(std::chrono::system_clock::time_point at) {
  const auto ms = std::chrono::floor<std::chrono::milliseconds>(at.time_since_epoch()).count();
  const auto seconds = static_cast<std::time_t>(ms >= 0 ? ms / 1000 : (ms - 999) / 1000);
  std::tm tm{};
  ::gmtime_r(&seconds, &tm);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
                     tm.tm_hour, tm.tm_min, tm.tm_sec, ms - seconds * 1000);
}

std::string history_text(const std::string& line) {
  using namespace json_read;
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object()) return printable(line) + "\n";
  const auto took = [](const Json& of) {
    const auto it = of.find("took_ms");
    return it != of.end() && it->is_number() ? it->get<double>() : 0.0;
  };
  std::string out = str(json, "time") + "  ";
  if (str(json, "kind") == "epoch") out += fmt::format("epoch {}: ", number(json, "epoch").value_or(0));
  out += str(json, "what");
  if (const std::string why = str(json, "why"); !why.empty()) out += ": " + why;
  if (const std::string who = str(json, "who"); !who.empty()) out += " (" + who + ")";
  if (json.contains("ok") && !flag(json, "ok")) out += ", FAILED";
  if (took(json) > 0) out += fmt::format(", {:.1f} ms", took(json));
  out += "\n";
  std::string steps;
  for (const auto& step : list(json, "steps")) {
    steps += fmt::format("{}{} {:.1f} ms", steps.empty() ? "" : ", ", str(step, "name"), took(step));
  }
  return steps.empty() ? out : out + "    " + steps + "\n";
}

}  // namespace ringagent
