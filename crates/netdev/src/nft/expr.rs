//! Rules as lists of expressions, with a builder that reads like `nft`.
//!
//! An expression loads something into a register, compares it, looks it up, or
//! acts. A comparison or look-up that fails ends its rule. Registers are the
//! sixteen of 32 bits; a concatenated key lies in consecutive ones, each field
//! padded to four bytes (`linux/netfilter/nf_tables.h`).

use std::net::Ipv4Addr;

use crate::cidr::Cidr;

/// `IPPROTO_TCP`.
pub const TCP: u8 = 6;
/// `IPPROTO_UDP`.
pub const UDP: u8 = 17;

/// One of sixteen 32-bit registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reg(pub u8);

/// What happens to a packet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It passes this base chain.
    Accept,
    /// It vanishes.
    Drop,
    /// Back to the calling chain.
    Return,
    /// On with another chain, and back here afterwards.
    Jump(String),
    /// On with another chain, for good.
    Goto(String),
}

/// How a register is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Cmp {
    /// Equal.
    Eq = 0,
    /// Not equal.
    Neq = 1,
    /// Greater or equal, in network byte order.
    Gte = 5,
    /// Less or equal, in network byte order.
    Lte = 3,
}

/// What is known of a packet besides its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Meta {
    /// The packet's mark.
    Mark = 3,
    /// The name of the interface it came by.
    InputName = 6,
    /// The transport protocol.
    L4Proto = 16,
}

/// What connection tracking knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Ct {
    /// The packet's state as a bit of [`STATE_ESTABLISHED`] and its like.
    State = 0,
    /// What was done to the connection, bits of [`STATUS_DNAT`] and its like.
    Status = 2,
}

/// `ct state invalid`.
pub const STATE_INVALID: u32 = 1;
/// `ct state established`.
pub const STATE_ESTABLISHED: u32 = 2;
/// `ct state related`.
pub const STATE_RELATED: u32 = 4;
/// `ct state new`.
pub const STATE_NEW: u32 = 8;
/// `ct status dnat`.
pub const STATUS_DNAT: u32 = 1 << 5;

/// How a packet is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reject {
    /// ICMP destination unreachable with a code (RFC 1812, 5.2.7.1).
    Icmp(u8),
    /// A TCP reset.
    TcpReset,
}

/// ICMP port unreachable.
pub const ICMP_PORT: u8 = 3;
/// ICMP communication administratively prohibited.
pub const ICMP_PROHIBITED: u8 = 13;

/// One expression.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Expr {
    /// Loads bytes of the network header.
    Network(u32, u32, Reg),
    /// Loads bytes of the transport header.
    Transport(u32, u32, Reg),
    /// Loads what is known of the packet.
    Meta(Meta, Reg),
    /// Loads what connection tracking knows of it.
    Ct(Ct, Reg),
    /// Loads the kind of its destination address.
    FibDestinationType(Reg),
    /// Loads a random number below the first operand.
    Random(u32, Reg),
    /// Loads a constant.
    Immediate(Vec<u8>, Reg),
    /// Masks a register: `reg & mask`.
    Mask(Reg, Vec<u8>),
    /// Ends the rule unless the comparison holds.
    Cmp(Reg, Cmp, Vec<u8>),
    /// Ends the rule unless the register's key is in the set (or, inverted, is).
    InSet(String, Reg, bool),
    /// Loads the value of the register's key; ends the rule when it is absent.
    Map(String, Reg, Reg),
    /// Takes the verdict of the register's key; goes on when it is absent.
    VerdictMap(String, Reg),
    /// Adds or refreshes the register's key in a set with time-outs.
    Refresh(String, Reg),
    /// Rewrites the destination to address and port.
    Dnat(Reg, Option<Reg>),
    /// Rewrites the source to an address.
    Snat(Reg),
    /// Rewrites the source to the outgoing interface's address.
    Masquerade,
    /// Rewrites the destination to this machine, at a port.
    Redirect(Reg),
    /// Hands the packet to a transparent socket at address and port.
    Tproxy(Reg, Reg),
    /// Refuses the packet.
    Reject(Reject),
    /// Counts packets and bytes.
    Counter,
    /// Sets the packet's mark.
    SetMark(Reg),
    /// Ends with a verdict.
    Verdict(Verdict),
}

/// A rule under construction: each call appends expressions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Rule {
    /// The expressions in order.
    pub exprs: Vec<Expr>,
}

impl Rule {
    /// Returns a rule that matches everything and does nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends an expression.
    pub fn expr(mut self, expr: Expr) -> Self {
        self.exprs.push(expr);
        self
    }

    /// Loads the source address.
    pub fn load_source(self, reg: Reg) -> Self {
        self.expr(Expr::Network(12, 4, reg))
    }

    /// Loads the destination address.
    pub fn load_destination(self, reg: Reg) -> Self {
        self.expr(Expr::Network(16, 4, reg))
    }

    /// Loads the transport protocol.
    pub fn load_protocol(self, reg: Reg) -> Self {
        self.expr(Expr::Meta(Meta::L4Proto, reg))
    }

    /// Loads the destination port.
    pub fn load_port(self, reg: Reg) -> Self {
        self.expr(Expr::Transport(2, 2, reg))
    }

    /// Loads destination address, protocol and port into three registers.
    pub fn load_service(self, first: Reg) -> Self {
        self.load_destination(first)
            .load_protocol(Reg(first.0 + 1))
            .load_port(Reg(first.0 + 2))
    }

    /// Goes on only for sources inside (or outside) a block.
    pub fn source(self, block: Cidr, inside: bool) -> Self {
        self.load_source(Reg(0)).address(block, inside)
    }

    /// Goes on only for destinations inside (or outside) a block.
    pub fn destination(self, block: Cidr, inside: bool) -> Self {
        self.load_destination(Reg(0)).address(block, inside)
    }

    /// Goes on only for a transport protocol.
    pub fn protocol(self, protocol: u8) -> Self {
        self.load_protocol(Reg(0))
            .expr(Expr::Cmp(Reg(0), Cmp::Eq, vec![protocol]))
    }

    /// Goes on only for destination ports in an inclusive range.
    pub fn ports(self, first: u16, last: u16) -> Self {
        let loaded = self.load_port(Reg(0));
        let (first_bytes, last_bytes) = (first.to_be_bytes(), last.to_be_bytes());
        if first == last {
            return loaded.expr(Expr::Cmp(Reg(0), Cmp::Eq, first_bytes.to_vec()));
        }
        loaded
            .expr(Expr::Cmp(Reg(0), Cmp::Gte, first_bytes.to_vec()))
            .expr(Expr::Cmp(Reg(0), Cmp::Lte, last_bytes.to_vec()))
    }

    /// Goes on only when one of the state bits is set.
    pub fn state(self, bits: u32) -> Self {
        self.expr(Expr::Ct(Ct::State, Reg(0))).any_bit(bits)
    }

    /// Goes on only when one of the status bits is set.
    pub fn status(self, bits: u32) -> Self {
        self.expr(Expr::Ct(Ct::Status, Reg(0))).any_bit(bits)
    }

    /// Goes on only for destinations this namespace owns.
    pub fn to_local(self) -> Self {
        const RTN_LOCAL: u32 = 2;
        self.expr(Expr::FibDestinationType(Reg(0))).expr(Expr::Cmp(
            Reg(0),
            Cmp::Eq,
            RTN_LOCAL.to_ne_bytes().to_vec(),
        ))
    }

    /// Goes on only when the key at `reg` is in the set.
    pub fn in_set(self, set: &str, reg: Reg) -> Self {
        self.expr(Expr::InSet(set.to_owned(), reg, false))
    }

    /// Takes the verdict the map holds for the key at `reg`.
    pub fn verdict_map(self, map: &str, reg: Reg) -> Self {
        self.expr(Expr::VerdictMap(map.to_owned(), reg))
    }

    /// Ends with a destination of constant address and port.
    pub fn dnat_to(self, address: Ipv4Addr, port: u16) -> Self {
        self.expr(Expr::Immediate(address.octets().to_vec(), Reg(0)))
            .expr(Expr::Immediate(port.to_be_bytes().to_vec(), Reg(1)))
            .expr(Expr::Dnat(Reg(0), Some(Reg(1))))
    }

    /// Hands the packet to a transparent socket and marks it, so that routing
    /// takes it in.
    pub fn take_in(self, address: Ipv4Addr, port: u16, mark: u32) -> Self {
        self.expr(Expr::Immediate(address.octets().to_vec(), Reg(0)))
            .expr(Expr::Immediate(port.to_be_bytes().to_vec(), Reg(1)))
            .expr(Expr::Tproxy(Reg(0), Reg(1)))
            .expr(Expr::Immediate(mark.to_ne_bytes().to_vec(), Reg(0)))
            .expr(Expr::SetMark(Reg(0)))
            .accept()
    }

    /// Ends with a constant source address.
    pub fn snat_to(self, address: Ipv4Addr) -> Self {
        self.expr(Expr::Immediate(address.octets().to_vec(), Reg(0)))
            .expr(Expr::Snat(Reg(0)))
    }

    /// Ends with a refusal.
    pub fn reject(self, reject: Reject) -> Self {
        self.expr(Expr::Reject(reject))
    }

    /// Ends with acceptance.
    pub fn accept(self) -> Self {
        self.verdict(Verdict::Accept)
    }

    /// Ends by going on in another chain and coming back.
    pub fn jump(self, chain: &str) -> Self {
        self.verdict(Verdict::Jump(chain.to_owned()))
    }

    /// Ends by going on in another chain.
    pub fn goto(self, chain: &str) -> Self {
        self.verdict(Verdict::Goto(chain.to_owned()))
    }

    /// Ends with a verdict.
    pub fn verdict(self, verdict: Verdict) -> Self {
        self.expr(Expr::Verdict(verdict))
    }

    fn any_bit(self, bits: u32) -> Self {
        self.expr(Expr::Mask(Reg(0), bits.to_ne_bytes().to_vec()))
            .expr(Expr::Cmp(Reg(0), Cmp::Neq, vec![0; 4]))
    }

    fn address(self, block: Cidr, inside: bool) -> Self {
        let cmp = if inside { Cmp::Eq } else { Cmp::Neq };
        let masked = if block.prefix() < 32 {
            self.expr(Expr::Mask(Reg(0), block.mask().octets().to_vec()))
        } else {
            self
        };
        masked.expr(Expr::Cmp(Reg(0), cmp, block.address().octets().to_vec()))
    }
}
