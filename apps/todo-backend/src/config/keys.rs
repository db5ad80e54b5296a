//! The table of keys: the single list from which `/api/config/effective` is
//! made. What a value means is read beside the settings it drives.

/// The port when `PORT` is not set.
pub const DEFAULT_PORT: u16 = 8000;

/// A row of the table of keys.
pub struct Key {
    /// The name of the environment variable.
    pub name: &'static str,
    /// Whether the value must never be shown.
    pub secret: bool,
    /// The value when nothing is set; empty means absent.
    pub default: &'static str,
    /// What the key drives, for people.
    pub drives: &'static str,
}

const fn open(name: &'static str, default: &'static str, drives: &'static str) -> Key {
    Key {
        name,
        secret: false,
        default,
        drives,
    }
}

const fn secret(name: &'static str, drives: &'static str) -> Key {
    Key {
        name,
        secret: true,
        default: "",
        drives,
    }
}

/// All keys, in the order in which they are shown.
pub const KEYS: &[Key] = &[
    open(
        "ENVIRONMENT",
        "development",
        "documentation and outbox pages, strict checks, log format",
    ),
    open("LOG_LEVEL", "info", "which log lines are written"),
    open("PYTHONUNBUFFERED", "", "1 flushes every log line at once"),
    open("PORT", "8000", "the port of the API"),
    secret(
        "DATABASE_URL",
        "where users, tasks and conversations are kept",
    ),
    open("DATABASE_POOL_SIZE", "5", "database connections kept open"),
    open(
        "DATABASE_MAX_OVERFLOW",
        "10",
        "further connections under load",
    ),
    secret(
        "BETTER_AUTH_SECRET",
        "signs tokens when JWT_SECRET is absent; always verifies; marks links",
    ),
    secret("JWT_SECRET", "signs tokens"),
    open("JWT_ALGORITHM", "HS256", "signature algorithm of tokens"),
    open("JWT_EXPIRATION_HOURS", "168", "life of a session"),
    open(
        "AUTH_STRICT",
        "true",
        "tokens must name issuer and audience",
    ),
    open("CORS_ORIGINS", "", "browser origins that may call the API"),
    open(
        "FRONTEND_URL",
        "",
        "base of links in mails; may call the API",
    ),
    open("PUBLIC_URL", "", "base of links, before FRONTEND_URL"),
    open(
        "RATE_LIMIT_PER_MINUTE",
        "240",
        "requests a minute for each user or address; 0 is no limit",
    ),
    open(
        "AI_PROVIDER",
        "auto",
        "assistant: auto, openai, gemini, cohere or local",
    ),
    secret("OPENAI_API_KEY", "the assistant asks OpenAI"),
    open(
        "OPENAI_BASE_URL",
        "https://api.openai.com/v1",
        "address of OpenAI",
    ),
    open("OPENAI_MODEL", "gpt-4o-mini", "model at OpenAI"),
    secret("GEMINI_API_KEY", "the assistant asks Gemini"),
    open(
        "GEMINI_BASE_URL",
        "https://generativelanguage.googleapis.com/v1beta/openai",
        "address of Gemini",
    ),
    open("GEMINI_MODEL", "gemini-2.5-flash", "model at Gemini"),
    secret("COHERE_API_KEY", "the assistant asks Cohere"),
    open(
        "COHERE_BASE_URL",
        "https://api.cohere.ai/compatibility/v1",
        "address of Cohere",
    ),
    open("COHERE_MODEL", "command-a-03-2025", "model at Cohere"),
    open(
        "AI_FALLBACK",
        "true",
        "whether other providers and the built-in assistant answer when one fails",
    ),
    open(
        "AI_TIMEOUT_SECONDS",
        "30",
        "longest wait for a whole turn of the assistant",
    ),
    open(
        "MCP_SERVER_NAME",
        "todo-mcp-server",
        "name told to MCP clients",
    ),
    open(
        "MCP_SERVER_PORT",
        "8001",
        "port of the MCP server; 0 is off",
    ),
    open(
        "MCP_ALLOWED_HOSTS",
        "",
        "further host names the MCP server answers to",
    ),
    open(
        "EMAIL_PROVIDER",
        "console",
        "mail: console, gmail or resend",
    ),
    open("FROM_EMAIL", "noreply@todo.localhost", "sender of mails"),
    secret("GMAIL_EMAIL", "account at Gmail"),
    secret("GMAIL_APP_PASSWORD", "password at Gmail"),
    open(
        "SMTP_URL",
        "smtps://smtp.gmail.com:465",
        "mail server of the gmail provider",
    ),
    secret("RESEND_API_KEY", "key at Resend"),
    open(
        "RESEND_BASE_URL",
        "https://api.resend.com",
        "address of Resend",
    ),
    open(
        "CLOUDINARY_CLOUD_NAME",
        "",
        "uploads go to Cloudinary when all three are set",
    ),
    secret("CLOUDINARY_API_KEY", "key at Cloudinary"),
    secret("CLOUDINARY_API_SECRET", "signs uploads to Cloudinary"),
    open(
        "CLOUDINARY_BASE_URL",
        "https://api.cloudinary.com",
        "address of Cloudinary",
    ),
    open("UPLOADS_DIR", "/app/uploads", "folder of uploaded files"),
    open(
        "POD_NAME",
        "",
        "shown in health answers and on the status page",
    ),
];
