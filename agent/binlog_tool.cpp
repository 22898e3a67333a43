#include "agent/binlog_tool.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include "agent/text.h"

namespace ringagent {
namespace {

constexpr int kOptionFd = 3;  // of the child
constexpr std::size_t kComplaintBytesMax = 4096;

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() { close(); }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  int get() const { return fd_; }

 private:
  int fd_ = -1;
};

std::string reason() {
  return std::strerror(errno);
}

// A file without a name; only this process and its children can reach it.
Result<Fd> memory_file(const char* name, const std::string& text) {
  Fd file(::memfd_create(name, MFD_CLOEXEC));
  if (file.get() < 0 || ::fchmod(file.get(), 0600) != 0) return fail("cannot make a file in memory: " + reason());
  if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
      ::lseek(file.get(), 0, SEEK_SET) != 0)
    return fail("cannot write a file in memory: " + reason());
  return file;
}

bool is_program(const std::string& path) {
  struct stat st {};
  return ::stat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode) && ::access(path.c_str(), X_OK) == 0;
}

bool is_mariadbs(const std::string& path) {
  std::array<char, PATH_MAX> real{};
  return ::realpath(path.c_str(), real.data()) != nullptr &&
         std::string_view(real.data()).find("mariadb") != std::string_view::npos;
}

std::string in_path(const std::string& name, Flavor flavor) {
  const char* path = std::getenv("PATH");
  std::string_view rest = path == nullptr ? "/usr/local/bin:/usr/bin:/bin" : path;
  while (!rest.empty()) {
    const std::string_view folder = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(rest.size(), folder.size() + 1));
    std::string file = std::string(folder) + "/" + name;
    if (!folder.empty() && is_program(file) && (flavor != Flavor::mysql || !is_mariadbs(file))) return file;
  }
  return {};
}

// This process's environment, in UTC, and without an option file of MySQL's that would be stronger than ours.
std::vector<std::string> child_environment() {
  std::vector<std::string> out;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    if (!text.starts_with("TZ=") && !text.starts_with("MYSQL_")) out.emplace_back(text);
  }
  out.emplace_back("TZ=UTC");
  out.emplace_back("MYSQL_TEST_LOGIN_FILE=/dev/null");
  return out;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> out;
  out.reserve(words.size() + 1);
  for (std::string& word : words) out.push_back(word.data());
  out.push_back(nullptr);
  return out;
}

struct Child {
  pid_t pid = -1;
  Fd output;
  Fd complaints;  // a memory file
};

Result<Child> start(const std::string& tool, std::vector<std::string> words, const Fd& options) {
  Child child;
  auto complaints = memory_file("complaints", "");
  if (!complaints) return tl::unexpected(complaints.error());
  child.complaints = std::move(*complaints);
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail("cannot make a pipe: " + reason());
  child.output = Fd(ends[0]);
  const Fd input(ends[1]);
  words.insert(words.begin(), tool);
  std::vector<std::string> environment = child_environment();
  posix_spawn_file_actions_t actions{};
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, input.get(), STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, child.complaints.get(), STDERR_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, options.get(), kOptionFd);
  const int failed =
      ::posix_spawn(&child.pid, tool.c_str(), &actions, nullptr, pointers(words).data(), pointers(environment).data());
  ::posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) return fail("cannot run " + tool + ": " + std::strerror(failed));
  return child;
}

// Every line of the pipe, until it ends (true) or `line` has had enough (false).
bool read_lines(int fd, const std::function<bool(std::string_view)>& line) {
  std::string rest;
  std::vector<char> buffer(1U << 16U);
  for (;;) {
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    const std::string_view got(buffer.data(), static_cast<std::size_t>(n));
    std::size_t from = 0;
    for (std::size_t end = got.find('\n'); end != std::string_view::npos; end = got.find('\n', from)) {
      rest += got.substr(from, end - from);
      if (!line(rest)) return false;
      rest.clear();
      from = end + 1;
    }
    rest += got.substr(from);
  }
  return rest.empty() || line(rest);
}

std::string complaint_of(const Fd& file) {
  std::string text(kComplaintBytesMax, '\0');
  const ssize_t n = ::pread(file.get(), text.data(), text.size(), 0);
  text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  std::string last;
  for (std::size_t from = 0; from < text.size();) {
    const std::size_t end = std::min(text.find('\n', from), text.size());
    const std::string one = text.substr(from, end - from);
    if (!one.empty() && (last.empty() || one.find("ERROR") != std::string::npos)) last = one;
    from = end + 1;
  }
  return printable(last);
}

}  // namespace

Result<std::string> find_binlog_tool(Flavor flavor, const std::string& asked) {
  const char* set = std::getenv("RINGAGENT_BINLOG_TOOL");
  const std::string named = !asked.empty() ? asked : set != nullptr ? set : "";
  if (!named.empty()) {
    if (is_program(named)) return named;
    return fail(named + " is no program that can be run (" +
                (asked.empty() ? "RINGAGENT_BINLOG_TOOL" : "--binlog-tool") + ")");
  }
  for (const std::string& name : binlog_tool_names(flavor)) {
    if (std::string found = in_path(name, flavor); !found.empty()) return found;
  }
  return fail(binlog_tool_missing(flavor));
}

Result<void> run_binlog_tool(const std::string& tool, const BinlogServer& server, const BinlogRange& range,
                             bool decoded, const std::function<bool(std::string_view)>& line) {
  const auto options = memory_file("options", option_file_text(server.password));
  if (!options) return tl::unexpected(options.error());
  auto child = start(tool, binlog_words(server, range, decoded, "/dev/fd/" + std::to_string(kOptionFd)), *options);
  if (!child) return tl::unexpected(child.error());
  const bool whole = read_lines(child->output.get(), line);
  child->output.close();
  if (!whole) ::kill(child->pid, SIGTERM);
  int status = 0;
  while (::waitpid(child->pid, &status, 0) < 0) {
    if (errno != EINTR) return fail("cannot wait for " + tool + ": " + reason());
  }
  if (!whole || (WIFEXITED(status) && WEXITSTATUS(status) == 0)) return {};
  const std::string said = complaint_of(child->complaints);
  return fail(tool + (said.empty() ? " failed without a word" : ": " + said));
}

}  // namespace ringagent
