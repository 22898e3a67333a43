#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <concepts>
#include <cstring>

#include "config/settings.h"

// The part of the settings that touches the machine: files, their modes, the host name.
namespace ringagent {
namespace {

constexpr std::size_t kConfigBytesMax = 1 << 20;
constexpr std::size_t kSecretBytesMax = 4096;
constexpr mode_t kOthers = 0007;

class File {
 public:
  explicit File(const std::string& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  bool open() const { return fd_ >= 0; }
  int fd() const { return fd_; }

 private:
  int fd_;
};

Error cannot_read() {
  return Error{std::string("cannot be read: ") + std::strerror(errno)};
}

Result<std::string> read_all(int fd, std::size_t bytes_max) {
  std::string out;
  std::array<char, 4096> part;
  for (;;) {
    const ssize_t got = ::read(fd, part.data(), part.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return tl::unexpected(cannot_read());
    if (got == 0) return out;
    out.append(part.data(), static_cast<std::size_t>(got));
    if (out.size() > bytes_max) return fail("is larger than " + std::to_string(bytes_max) + " bytes");
  }
}

std::string octal(mode_t mode) {
  std::string out = "0";
  for (int shift = 6; shift >= 0; shift -= 3) out.push_back(static_cast<char>('0' + ((mode >> shift) & 7)));
  return out;
}

// The text of a file that is nobody else's business.
Result<std::string> read_secret(const std::string& path) {
  const File file(path);
  struct stat about {};
  if (!file.open() || ::fstat(file.fd(), &about) != 0) return tl::unexpected(cannot_read());
  if (!S_ISREG(about.st_mode)) return fail("is no regular file");
  if ((about.st_mode & kOthers) != 0)
    return fail("is open to everybody (mode " + octal(about.st_mode) + "); chmod 0640 it");
  auto text = read_all(file.fd(), kSecretBytesMax);
  if (!text) return text;
  if (text->ends_with('\n')) text->pop_back();
  if (text->ends_with('\r')) text->pop_back();
  if (text->empty()) return fail("is empty");
  return text;
}

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? std::string(name.data()) : std::string();
}

// What goes into the fingerprint; each value with its name, so that none can be taken for another.
class Fingerprint {
 public:
  void add(std::string_view name, std::string_view value) {
    for (const std::string_view part : {name, value})
      text_.append(std::to_string(part.size())).append(":").append(part);
  }
  void add(std::string_view name, Duration value) { add(name, std::to_string(value.count())); }
  // Not for whatever turns into a bool: a string literal would, before it became a string_view.
  void add(std::string_view name, std::same_as<bool> auto value) { add(name, std::string_view(value ? "yes" : "no")); }
  std::uint64_t take() const {
    const Hash hash = hash_bytes(text_);
    std::uint64_t out = 0;
    for (std::size_t i = 0; i < 8; ++i) out = (out << 8) | hash[i];
    return out;
  }

 private:
  std::string text_;
};

}  // namespace

SettingsHost this_host() {
  return {host_name, [](const std::string& path) -> Result<std::string> {
            auto secret = read_secret(path);
            if (!secret) return fail(path + " " + secret.error().text);
            return secret;
          }};
}

SettingsResult load_settings(const std::string& path) {
  const File file(path);
  const auto text =
      file.open() ? read_all(file.fd(), kConfigBytesMax) : Result<std::string>(tl::unexpected(cannot_read()));
  if (!text) return tl::unexpected(std::vector<SettingsFault>{{0, text.error().text}});
  return parse_settings(*text, this_host());
}

std::uint64_t settings_fingerprint(const Settings& s) {
  Fingerprint print;
  print.add("cluster", s.cluster);
  for (const auto& name : s.ring.initial) print.add("initial", name);
  if (s.ring.one_writer) print.add("writers", "one");  // "all" is as good as a version that knew nothing else
  print.add("mode", s.replication.mode);
  print.add("heartbeat_period", s.replication.heartbeat_period);
  print.add("silence", s.failure.silence);
  print.add("hung_after", s.failure.hung_after);
  print.add("grace", s.failure.grace);
  print.add("link_grace", s.failure.link_grace);
  print.add("on_stuck", s.failure.bypass_stuck);
  print.add("max_lag", s.failure.max_lag);
  print.add("settle", s.failure.settle);
  print.add("on_quorum_loss", s.failure.read_only_without_quorum);
  print.add("stranded", s.failure.replay_stranded);
  print.add("replay_max_age", s.failure.replay_max_age);
  return print.take();
}

}  // namespace ringagent
